import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from helpers.checks import WorkbookError
from helpers.clip import load
from tests.conftest import UNTRAINED

SMALL = (UNTRAINED, "embedded")
# Of full size: a thousand times the work for the same formula.
FULL = [pytest.param(name, marks=pytest.mark.soak) for name in ("ViT-B-32", "ViT-B-16", "ViT-L-14")]


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module", params=[*SMALL, *FULL])
def model(request):
    return load(request.param, device="cpu")


def test_contributions_sum_to_the_embedding(model, pixels):
    encoding = model.encode(pixels)
    layers = model.layers
    assert encoding.heads.shape[:2] == (len(pixels), layers)
    assert encoding.mlps.shape == (len(pixels), layers, model.features)
    assert encoding.rest.shape == (len(pixels), len(encoding.rest_labels), model.features)
    assert relative_error(encoding.total(), encoding.embedding) <= 1e-5


def test_tensors_hold_what_the_arrays_do(pixels):
    model = load("embedded", device="cpu")
    arrays = model.encode(pixels, by_token=True)
    tensors = model.encode(pixels, by_token=True, tensors=True)
    for name in ("embedding", "attention", "components", "tokens", "depths"):
        own, other = getattr(tensors, name), getattr(arrays, name)
        assert isinstance(own, torch.Tensor)
        assert isinstance(other, np.ndarray)
        np.testing.assert_array_equal(own, other, err_msg=name)


def test_embedding_is_that_of_open_clip(model, pixels):
    with torch.inference_mode():
        expected = model.clip.encode_image(normalised(model, pixels)).numpy()
    assert relative_error(model.encode(pixels).embedding, expected) <= 1e-5


@pytest.mark.parametrize("name", [*SMALL, *FULL])
def test_heads_equal_the_plain_loops_of_the_formula(name, pixels):
    model = load(name, device="cpu")
    layers = [0, model.layers // 2, model.layers - 1]
    expected = tokens_by_plain_loops(model, pixels[:1], layers)
    encoding = model.encode(pixels[:1], by_token=True)
    assert relative_error(encoding.heads[:, layers], expected.sum(3)) <= 1e-5
    by_token = encoding.tokens_of_heads()
    assert relative_error(by_token[:, layers], expected) <= 1e-5
    assert relative_error(encoding.heads, by_token.sum(3)) <= 1e-5
    assert relative_error(encoding.tokens, by_token.sum((1, 2))) <= 1e-5
    directions = np.random.default_rng(0).normal(size=(3, model.features))
    projected = encoding.tokens_of_heads(directions)
    assert relative_error(projected, by_token @ directions.T) <= 1e-5


def test_readouts_by_depth_are_those_of_the_norm_and_projection(model, pixels):
    visual, stream = model.clip.visual, []
    handles = [
        block.register_forward_hook(lambda *call: stream.append(call[2][:, 0]))
        for block in visual.transformer.resblocks
    ]
    with torch.inference_mode():
        visual(normalised(model, pixels))
        expected = [(visual.ln_post(x) @ visual.proj).numpy() for x in stream]
    for handle in handles:
        handle.remove()
    depths = model.encode(pixels).depths
    assert depths.shape == (len(pixels), model.layers + 1, model.features)
    assert relative_error(depths[:, 1:], np.stack(expected, axis=1)) <= 1e-5


def test_tokens_must_be_asked_for_and_directions_must_fit(untrained, pixels):
    with pytest.raises(WorkbookError, match="by_token=True"):
        untrained.encode(pixels).tokens_of_heads()
    encoding = untrained.encode(pixels, by_token=True)
    with pytest.raises(WorkbookError, match=r"shape \(2, 7\)"):
        encoding.tokens_of_heads(np.ones((2, 7)))


@pytest.mark.parametrize("every_token", [True, False])
@pytest.mark.parametrize("name", [*SMALL, *FULL])
def test_patching_heads_equals_exchanging_them_by_hooks(name, every_token, pixels):
    model = load(name, device="cpu")
    original, changed = pixels[:1], pixels[1:]
    heads = np.random.default_rng(0).random((1, model.layers, model.heads)) < 0.3
    patched = model.encode_with_patched_heads(changed, original, heads, every_token=every_token)
    expected = embedding_with_hooks(model, changed, original, heads[0], every_token)
    assert relative_error(patched, expected) <= 1e-5
    assert relative_error(patched, model.encode(changed).embedding) > 1e-3
    nothing = model.encode_with_patched_heads(changed, original, np.zeros_like(heads))
    assert relative_error(nothing, model.encode(changed).embedding) <= 1e-6


def test_with_every_head_patched_only_what_heads_do_not_write_differs(pixels):
    model = load("embedded", device="cpu")
    heads = np.ones((1, model.layers, model.heads), bool)
    patched = model.encode_with_patched_heads(pixels[1:], pixels[:1], heads)
    # The class token sees an image through heads alone.
    assert relative_error(patched, model.encode(pixels[:1]).embedding) <= 1e-5


def test_patching_says_what_does_not_fit(untrained, pixels):
    with pytest.raises(WorkbookError, match=r"must have the shape \(2, 12, 6\)"):
        untrained.encode_with_patched_heads(pixels, pixels, np.ones((2, 3, 12), bool))


@pytest.mark.parametrize(
    "name, activation",
    [
        (UNTRAINED, "gelu"),
        pytest.param("ViT-B-32", "gelu", marks=pytest.mark.soak),
        pytest.param("ViT-B-32-quickgelu", "quick_gelu", marks=pytest.mark.soak),
    ],
)
def test_embedding_and_attention_equal_hugging_face(name, activation, pixels):
    model = load(name, device="cpu")
    reference = hugging_face_twin(model, activation)
    with torch.inference_mode():
        expected = reference(normalised(model, pixels), output_attentions=True)
    attention = expected.attentions[-1][:, :, 0, 1:].mean(1).reshape(len(pixels), *model.grid)
    encoding = model.encode(pixels)
    assert relative_error(encoding.embedding, expected.image_embeds.numpy()) <= 1e-4
    assert relative_error(encoding.attention, attention.numpy()) <= 1e-4


def test_layer_scale_is_part_of_the_contributions(untrained, pixels):
    from open_clip.transformer import VisionTransformer

    from helpers.clip.decomposition import Encoding, Readout
    from helpers.clip.forward import forward
    from helpers.clip.towers import open_tower

    torch.manual_seed(0)
    visual = VisionTransformer(224, 32, 64, 3, 4, 4.0, ls_init_value=0.3, output_dim=32).eval()
    images, tower = normalised(untrained, pixels), open_tower(visual)
    with torch.inference_mode():
        encoding = Encoding(forward(tower, images), Readout(tower))
        assert relative_error(encoding.embedding, visual(images).numpy()) <= 1e-5
    assert relative_error(encoding.total(), encoding.embedding) <= 1e-5


def test_bfloat16_keeps_the_direction(pixels, untrained):
    rough = load(UNTRAINED, device="cpu", precision="bfloat16").encode(pixels).embedding
    exact = untrained.encode(pixels).embedding
    cosine = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.999
    assert not np.array_equal(rough, exact)


def normalised(model, pixels):
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(value)[:, None, None] for value in (model.mean, model.std))
    return (images - mean) / std


def embedding_with_hooks(model, pixels, originals, heads, every_token):
    """open_clip's own passes; hooks exchange what enters the output projections."""
    visual, size, written = model.clip.visual, model.head_width, []
    tokens = slice(None) if every_token else 0

    def mixed(block, x):
        attn = block.attn
        own = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
        q, k, v = (part.unflatten(-1, (-1, size)).transpose(1, 2) for part in own.chunk(3, dim=-1))
        return ((q @ k.mT) / size**0.5).softmax(-1) @ v

    def keep(block, arguments, output):
        written.append(mixed(block, arguments[0]))

    def exchange(block, arguments, output):
        outputs, own = written.pop(0), mixed(block, arguments[0])
        for head in np.flatnonzero(heads[len(heads) - 1 - len(written)]):
            own[:, head, tokens] = outputs[:, head, tokens]
        x = arguments[0] + block.attn.out_proj(own.transpose(1, 2).flatten(2))
        return x + block.mlp(block.ln_2(x))

    for hook, images in ((keep, originals), (exchange, pixels)):
        blocks = visual.transformer.resblocks
        handles = [block.register_forward_hook(hook) for block in blocks]
        with torch.inference_mode():
            embedding = visual(normalised(model, images)).numpy()
        for handle in handles:
            handle.remove()
    return embedding


def tokens_by_plain_loops(model, pixels, layers):
    """What the heads of some layers read from every token, from the formulas of the module."""
    visual = model.clip.visual
    contributions, inputs = [], []
    handles = [
        block.ln_1.register_forward_hook(lambda *call: inputs.append(call[2][0]))
        for block in visual.transformer.resblocks
    ]
    before_norm = []
    handles.append(
        visual.ln_post.register_forward_pre_hook(lambda _, x: before_norm.append(x[0][0, 0]))
    )
    with torch.inference_mode():
        visual(normalised(model, pixels))
        for handle in handles:
            handle.remove()
        x = before_norm[0].double()
        std = ((x - x.mean()).square().mean() + visual.ln_post.eps).sqrt()
        for layer in layers:
            attn = visual.transformer.resblocks[layer].attn
            contributions.append(layer_by_plain_loops(visual, attn, inputs[layer].double(), std))
    return np.array([contributions])


def layer_by_plain_loops(visual, attn, tokens, std):
    heads, width = attn.num_heads, attn.embed_dim
    size = width // heads
    query, key, value = attn.in_proj_weight.double().chunk(3)
    query_bias, key_bias, value_bias = attn.in_proj_bias.double().chunk(3)
    output, gain, projection = (
        weights.double() for weights in (attn.out_proj.weight, visual.ln_post.weight, visual.proj)
    )
    rows = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        q = tokens[0] @ query[part].T + query_bias[part]
        weights = torch.stack([q @ (key[part] @ token + key_bias[part]) for token in tokens])
        weights = F.softmax(weights / size**0.5, dim=0)
        read = []
        for weight, token in zip(weights, tokens, strict=True):
            v = value[part] @ token + value_bias[part]
            added = weight * (output[:, part] @ v)
            centred = (added - added.mean()) / std * gain
            read.append((centred @ projection).numpy())
        rows.append(read)
    return rows


def hugging_face_twin(model, activation):
    visual = model.clip.visual
    width, layers = visual.proj.shape[0], len(visual.transformer.resblocks)
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=visual.transformer.resblocks[0].attn.num_heads,
        image_size=224,
        patch_size=visual.patch_size[0],
        hidden_act=activation,
        projection_dim=model.features,
        attn_implementation="eager",
    )
    twin = CLIPVisionModelWithProjection(config).eval()
    missing = twin.load_state_dict(hugging_face_names(visual), strict=False).missing_keys
    assert [key for key in missing if "position_ids" not in key] == []
    return twin


def hugging_face_names(visual):
    state = visual.state_dict()
    renamed = {
        "vision_model.embeddings.class_embedding": state["class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "visual_projection.weight": state["proj"].T,
    }
    for ours, theirs in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        for kind in ("weight", "bias"):
            renamed[f"vision_model.{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for layer in range(len(visual.transformer.resblocks)):
        renamed |= hugging_face_block(state, f"transformer.resblocks.{layer}", layer)
    return renamed


def hugging_face_block(state, ours, layer):
    theirs = f"vision_model.encoder.layers.{layer}"
    pairs = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    renamed = {}
    for kind in ("weight", "bias"):
        for one, other in pairs.items():
            renamed[f"{theirs}.{other}.{kind}"] = state[f"{ours}.{one}.{kind}"]
        projections = state[f"{ours}.attn.in_proj_{kind}"].chunk(3)
        for name, projection in zip("qkv", projections, strict=True):
            renamed[f"{theirs}.self_attn.{name}_proj.{kind}"] = projection
    return renamed
