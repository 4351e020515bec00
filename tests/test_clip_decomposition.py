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


@pytest.mark.parametrize("where", ["everywhere", "class token", "some patches"])
@pytest.mark.parametrize("name", [*SMALL, *FULL])
def test_patching_equals_exchanging_by_hooks(name, where, pixels):
    model = load(name, device="cpu")
    original, changed = pixels[:1], pixels[1:]
    rng, tokens = np.random.default_rng(0), model.tower.tokens
    places = {
        "everywhere": np.ones(tokens, bool),
        "class token": model.read_tokens,
        "some patches": rng.random(tokens) < 0.5,
    }
    heads = rng.random((model.layers, model.heads)) < 0.3
    some = rng.random((2, model.layers)) < 0.4
    for chosen in ({"heads": heads}, {"mlps": some[0]}, {"heads": heads, "mlps": some[0]}):
        check_against_hooks(model, changed, original, chosen, places[where])
    for layer in (0, model.layers // 2):
        stream = np.arange(model.layers) == layer
        check_against_hooks(model, changed, original, {"stream": stream}, places[where])
    nothing = model.encode_patched(changed, original)
    assert relative_error(nothing, model.encode(changed).embedding) <= 1e-6


def check_against_hooks(model, pixels, originals, chosen, tokens):
    masks = {name: own[None] for name, own in chosen.items()}
    patched = model.encode_patched(pixels, originals, tokens=tokens[None], **masks)
    expected = embedding_with_hooks(model, pixels, originals, chosen, tokens)
    assert relative_error(patched, expected) <= 1e-5
    assert relative_error(patched, model.encode(pixels).embedding) > 1e-3


def test_with_every_head_patched_only_what_heads_do_not_write_differs(pixels):
    model = load("embedded", device="cpu")
    heads = np.ones((1, model.layers, model.heads), bool)
    patched = model.encode_patched(pixels[1:], pixels[:1], heads=heads)
    # The class token sees an image through heads alone.
    assert relative_error(patched, model.encode(pixels[:1]).embedding) <= 1e-5


def test_patching_says_what_does_not_fit(untrained, pixels):
    for shape in [(2, 3, 12), (3, 12, 6), (12, 6, 1)]:
        with pytest.raises(WorkbookError, match=r"heads .* must have the shape \(2, 12, 6\)"):
            untrained.encode_patched(pixels, pixels, heads=np.ones(shape, bool))
    with pytest.raises(WorkbookError, match=r"tokens .* must have the shape \(2, 50\)"):
        untrained.encode_patched(pixels, pixels, tokens=np.ones(49, bool))
    with pytest.raises(WorkbookError, match="1 original images don't fit 2"):
        untrained.encode_patched(pixels, pixels[:1])


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


def test_attention_of_every_head_is_that_of_open_clip(model, pixels):
    visual, found = model.clip.visual, []

    def keep(block, arguments, _):
        attn, size = block.attn, model.head_width
        own = F.linear(block.ln_1(arguments[0]), attn.in_proj_weight, attn.in_proj_bias)
        q, k, _ = (part.unflatten(-1, (-1, size)).transpose(1, 2) for part in own.chunk(3, dim=-1))
        found.append(((q @ k.mT) / size**0.5).softmax(-1)[:, :, 0, 1:])

    handles = [block.register_forward_hook(keep) for block in visual.transformer.resblocks]
    with torch.inference_mode():
        visual(normalised(model, pixels))
    for handle in handles:
        handle.remove()
    expected = torch.stack(found, dim=1).unflatten(-1, model.grid).numpy()
    encoding = model.encode(pixels, by_token=True)
    assert relative_error(encoding.attention_of_heads, expected) <= 1e-5
    assert relative_error(encoding.attention_of_heads[:, -1].mean(1), encoding.attention) <= 1e-5


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


def embedding_with_hooks(model, pixels, originals, chosen, tokens):
    """open_clip's own passes; hooks exchange what heads and MLPs write, and what a block gives."""
    visual, size = model.clip.visual, model.head_width
    none = np.zeros(model.layers, bool)
    heads = chosen.get("heads", np.zeros((model.layers, model.heads), bool))
    mlps, stream = (chosen.get(name, none) for name in ("mlps", "stream"))
    tokens, kept = torch.from_numpy(tokens), {}

    def mixed(block, x):
        attn = block.attn
        own = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
        q, k, v = (part.unflatten(-1, (-1, size)).transpose(1, 2) for part in own.chunk(3, dim=-1))
        return ((q @ k.mT) / size**0.5).softmax(-1) @ v

    def keep(block, arguments, output):
        own = mixed(block, arguments[0])
        x = arguments[0] + block.attn.out_proj(own.transpose(1, 2).flatten(2))
        kept[block] = own, block.mlp(block.ln_2(x)), output

    def exchange(block, arguments, output):
        layer = list(visual.transformer.resblocks).index(block)
        other_heads, other_mlp, other_stream = kept[block]
        own = mixed(block, arguments[0])
        for head in np.flatnonzero(heads[layer]):
            own[:, head, tokens] = other_heads[:, head, tokens]
        x = arguments[0] + block.attn.out_proj(own.transpose(1, 2).flatten(2))
        added = block.mlp(block.ln_2(x))
        if mlps[layer]:
            added[:, tokens] = other_mlp[:, tokens]
        x = x + added
        if stream[layer]:
            x[:, tokens] = other_stream[:, tokens]
        return x

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
