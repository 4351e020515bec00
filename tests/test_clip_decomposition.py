import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from helpers.clip import load

MODELS = ("ViT-B-32", "ViT-B-16", "ViT-L-14", "embedded")


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return load(request.param, device="cpu")


def test_contributions_sum_to_the_embedding(model, pixels):
    encoding = model.encode(pixels)
    layers = len(model.clip.visual.transformer.resblocks)
    assert encoding.heads.shape[:2] == (len(pixels), layers)
    assert encoding.mlps.shape == (len(pixels), layers, model.features)
    assert encoding.rest.shape == (len(pixels), len(encoding.rest_labels), model.features)
    assert relative_error(encoding.total(), encoding.embedding) <= 1e-5


def test_embedding_is_that_of_open_clip(model, pixels):
    with torch.inference_mode():
        expected = model.clip.encode_image(normalised(model, pixels)).numpy()
    assert relative_error(model.encode(pixels).embedding, expected) <= 1e-5


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "embedded"])
def test_heads_equal_the_plain_loops_of_the_formula(name, pixels):
    model = load(name, device="cpu")
    expected = heads_by_plain_loops(model, pixels[:1])
    assert relative_error(model.encode(pixels[:1]).heads, expected) <= 1e-5


@pytest.mark.parametrize(
    "name, activation", [("ViT-B-32", "gelu"), ("ViT-B-32-quickgelu", "quick_gelu")]
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

    from helpers.clip.decomposition import Encoding, Readout, forward

    torch.manual_seed(0)
    visual = VisionTransformer(224, 32, 64, 3, 4, 4.0, ls_init_value=0.3, output_dim=32).eval()
    images = normalised(untrained, pixels)
    with torch.inference_mode():
        embedding, token = forward(visual, images)
        encoding = Encoding(embedding, token, Readout(visual), visual.grid_size)
        assert relative_error(encoding.embedding, visual(images).numpy()) <= 1e-5
    assert relative_error(encoding.total(), encoding.embedding) <= 1e-5


def test_bfloat16_keeps_the_direction(pixels, untrained):
    rough = load("ViT-B-32", device="cpu", precision="bfloat16").encode(pixels).embedding
    exact = untrained.encode(pixels).embedding
    cosine = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.999
    assert not np.array_equal(rough, exact)


def normalised(model, pixels):
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(value)[:, None, None] for value in (model.mean, model.std))
    return (images - mean) / std


def heads_by_plain_loops(model, pixels):
    """Every head's contribution for one image, from the formulas of the module, token by token."""
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
        for block, tokens in zip(visual.transformer.resblocks, inputs, strict=True):
            contributions.append(layer_by_plain_loops(visual, block.attn, tokens.double(), std))
    return np.array([contributions])


def layer_by_plain_loops(visual, attn, tokens, std):
    heads, width = attn.num_heads, attn.embed_dim
    size = width // heads
    query, key, value = attn.in_proj_weight.double().chunk(3)
    query_bias, key_bias, value_bias = attn.in_proj_bias.double().chunk(3)
    rows = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        q = tokens[0] @ query[part].T + query_bias[part]
        weights = torch.stack([q @ (key[part] @ token + key_bias[part]) for token in tokens])
        weights = F.softmax(weights / size**0.5, dim=0)
        added = torch.zeros(width, dtype=torch.double)
        for weight, token in zip(weights, tokens, strict=True):
            v = value[part] @ token + value_bias[part]
            added += weight * (attn.out_proj.weight.double()[:, part] @ v)
        centred = (added - added.mean()) / std * visual.ln_post.weight.double()
        rows.append((centred @ visual.proj.double()).numpy())
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
