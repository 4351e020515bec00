"""Every kind of vision tower at a small size: the library's embedding, taken apart exactly."""

import csv

import numpy as np
import pytest
import timm
import torch
from open_clip import get_model_config
from open_clip.transformer import VisionTransformer
from timm.layers import RmsNorm
from torch import nn

from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.clip.building import vision_tower
from helpers.clip.capabilities import TABLE, capabilities, why_unknown
from helpers.clip.decomposition import Encoding, Readout
from helpers.clip.forward import forward, images_at_once, join
from helpers.clip.huggingface import Trunk
from helpers.clip.interventions import encode_patched, exchange
from helpers.clip.names import open_clip_names
from helpers.clip.towers import UnknownTower, open_tower
from tests import tiny

SIZE, WIDTH, LAYERS, HEADS = 32, 48, 3, 4
SMALL = {"img_size": SIZE, "patch_size": 8, "embed_dim": WIDTH, "depth": LAYERS, "num_heads": HEADS}


def open_clip_tower(**options):
    return VisionTransformer(SIZE, 8, WIDTH, LAYERS, HEADS, 4.0, output_dim=32, **options)


def timm_tower(**options):
    return Trunk(timm.models.VisionTransformer(**SMALL, num_classes=32, **options), SIZE)


def eva_tower(**options):
    return Trunk(timm.models.Eva(**SMALL, num_classes=32, **options), SIZE)


KINDS = {
    "class token": lambda: open_clip_tower(),
    "layer scale": lambda: open_clip_tower(ls_init_value=0.3),
    "mean, then norm": lambda: open_clip_tower(
        pool_type="avg", final_ln_after_pool=True, no_ln_pre=True
    ),
    "norm, then mean": lambda: open_clip_tower(pool_type="avg"),
    "CoCa": lambda: open_clip_tower(attentional_pool=True, attn_pooler_queries=6),
    "SigLIP": lambda: timm_tower(global_pool="map", class_token=False),
    "SigLIP with a class token": lambda: timm_tower(global_pool="map"),
    "timm, class token": lambda: timm_tower(global_pool="token"),
    "timm, mean": lambda: timm_tower(global_pool="avg", fc_norm=True, class_token=False),
    "registers, q/k norm, scale": lambda: timm_tower(
        global_pool="avg", reg_tokens=3, qk_norm=True, init_values=0.2, fc_norm=False
    ),
    "norm of all heads": lambda: timm_tower(global_pool="token", scale_attn_norm=True),
    "RMS norm": lambda: timm_tower(global_pool="map", class_token=False, norm_layer=RmsNorm),
    "EVA-01": lambda: eva_tower(global_pool="token", init_values=0.2),
    "EVA-02": lambda: eva_tower(
        global_pool="token",
        qkv_fused=False,
        swiglu_mlp=True,
        scale_mlp=True,
        scale_attn_inner=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(4, 4),
    ),
    "EVA-02, post-norm": lambda: eva_tower(
        global_pool="token", use_post_norm=True, scale_attn_inner=True
    ),
    "PE": lambda: eva_tower(
        global_pool="map",
        attn_type="rope",
        use_rot_pos_emb=True,
        use_pre_transformer_norm=True,
        ref_feat_shape=(4, 4),
    ),
}


def random(visual):
    """Give every weight a size that matters; libraries start norms, scales and pools at 0 or 1."""
    with torch.no_grad():
        for value in visual.parameters():
            drawn = torch.randn_like(value)
            if value.ndim == 1:
                value.add_(0.3 * drawn)
            else:
                value.copy_(drawn / value[0].numel() ** 0.5)
    return visual.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=KINDS)
def encoded(request):
    torch.manual_seed(0)
    visual = random(KINDS[request.param]())
    images = torch.randn(3, 3, SIZE, SIZE)
    with torch.inference_mode():
        tower = open_tower(visual)
        encoding = Encoding(forward(tower, images, by_token=True), Readout(tower))
        return visual, tower, images, encoding


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def test_the_embedding_is_the_librarys_and_the_sum_of_all_parts(encoded):
    visual, _, images, encoding = encoded
    with torch.inference_mode():
        expected = visual(images).numpy()
    assert relative_error(encoding.embedding, expected) <= 1e-5
    assert relative_error(encoding.total(), encoding.embedding) <= 1e-5
    assert encoding.rest.shape[1] == len(encoding.rest_labels)
    assert relative_error(encoding.depths[:, -1], encoding.embedding) <= 1e-6
    assert encoding.attention.shape == (3, 4, 4)


def test_heads_are_the_sum_over_tokens(encoded):
    _, tower, _, encoding = encoded
    assert encoding.tokens.shape[1] == encoding.prefix + 16 == tower.tokens
    by_token = encoding.tokens_of_heads()
    assert relative_error(by_token.sum(3), encoding.heads) <= 1e-5
    assert relative_error(by_token.sum((1, 2)), encoding.tokens) <= 1e-5
    directions = np.random.default_rng(0).normal(size=(3, 2, encoding.embedding.shape[1]))
    along = np.einsum("ntf,nmf->ntm", encoding.tokens, directions)
    assert relative_error(encoding.tokens_along(directions), along) <= 1e-5


def test_attention_of_every_head_is_known_in_any_tower(encoded):
    _, tower, _, encoding = encoded
    attention = encoding.attention_of_heads
    assert attention.shape == (3, LAYERS, HEADS, *tower.grid)
    assert (attention >= 0).all()
    left = 1 - attention.sum((-2, -1))  # for class and register tokens
    if tower.prefix:
        assert (left > 0).all()
    else:
        np.testing.assert_allclose(left, 0, atol=1e-5)


def test_what_heads_write_lies_in_the_directions_of_their_weights(encoded):
    _, tower, _, encoding = encoded
    with torch.no_grad():
        weights = encoding._readout.head_weights(LAYERS - 1).numpy()
    for head, own in enumerate(weights):
        _, sizes, directions = np.linalg.svd(own.astype(float), full_matrices=False)
        directions = directions[sizes > 1e-6 * sizes[0]]
        written = encoding.heads[:, -1, head].astype(float)
        within = written @ directions.T @ directions
        assert relative_error(within, written) <= 1e-4
        assert len(directions) < written.shape[1] or tower.pool.query


PART = {"heads": (LAYERS, HEADS), "mlps": (LAYERS,), "stream": (LAYERS,)}


def patched(tower, sides, *, tokens=None, **parts):
    chosen, _ = exchange(tower, 3, parts | {"tokens": tokens}, "cpu")
    with torch.inference_mode():
        return encode_patched(tower, *sides, chosen).numpy()


@pytest.mark.parametrize("part", PART)
def test_parts_are_patched_in_any_tower(encoded, part):
    _, tower, images, encoding = encoded
    others = images.roll(1, dims=0)
    chosen = np.zeros((2, 3, *PART[part]), bool)
    chosen[0, :, LAYERS - 2] = True
    same = patched(tower, (images, images), **{part: chosen[:1]})[0]
    other, untouched = patched(tower, (images, others), **{part: chosen})
    assert relative_error(same, encoding.embedding) <= 1e-5
    assert relative_error(untouched, encoding.embedding) <= 1e-6
    assert relative_error(other, encoding.embedding) > 1e-3


def test_with_the_whole_residual_stream_an_image_becomes_the_other(encoded):
    _, tower, images, encoding = encoded
    others = images.roll(1, dims=0)
    stream = np.eye(LAYERS, dtype=bool)[:, None].repeat(3, axis=1)
    found = patched(tower, (images, others), stream=stream)
    for own in found:
        assert relative_error(own, np.roll(encoding.embedding, 1, axis=0)) <= 1e-5
    nowhere = patched(tower, (images, others), stream=stream, tokens=np.zeros(tower.tokens, bool))
    assert relative_error(nowhere[0], encoding.embedding) <= 1e-6


def test_a_total_effect_goes_through_tokens_that_the_pool_does_not_read(encoded):
    _, tower, images, _ = encoded
    chosen = np.zeros((1, 3, LAYERS, HEADS), bool)
    chosen[..., 0, 0] = True
    read = np.zeros(tower.tokens, bool)
    read[tower.pool.reads] = True
    sides = (images, images.roll(1, dims=0))
    total, direct = (patched(tower, sides, heads=chosen, tokens=own) for own in (None, read))
    all_read = len(range(tower.tokens)[tower.pool.reads]) == tower.tokens
    assert (relative_error(total, direct) <= 1e-6) == all_read


@pytest.mark.parametrize("kind", ["mean, then norm", "norm, then mean", "SigLIP", "CoCa"])
def test_pooled_heads_equal_the_plain_loops_of_the_formula(kind):
    torch.manual_seed(1)
    visual = random(KINDS[kind]())
    images = torch.randn(1, 3, SIZE, SIZE)
    with torch.inference_mode():
        tower = open_tower(visual)
        encoding = Encoding(forward(tower, images), Readout(tower))
        final = final_tokens(visual, images)
        added = added_by_heads(visual, images)  # layers × heads × tokens × width
        expected = LOOPS[kind](visual, final, added)
    assert relative_error(encoding.heads[0], expected) <= 1e-5


def final_tokens(visual, images):
    found, module = [], blocks_of(visual)[-1]
    handle = module.register_forward_hook(lambda *call: found.append(call[2][0].double()))
    visual(images)
    handle.remove()
    return found[0]


def blocks_of(visual):
    return visual.trunk.blocks if isinstance(visual, Trunk) else visual.transformer.resblocks


def added_by_heads(visual, images):
    """What each head adds to each token, from queries, keys and values, one by one."""
    inputs, handles = [], []
    for block in blocks_of(visual):
        norm = block.norm1 if isinstance(visual, Trunk) else block.ln_1
        handles.append(norm.register_forward_hook(lambda *call: inputs.append(call[2][0].double())))
    visual(images)
    for handle in handles:
        handle.remove()
    layers = []
    for block, x in zip(blocks_of(visual), inputs, strict=True):
        layers.append([one_head(block.attn, x, head) for head in range(HEADS)])
    return torch.stack([torch.stack(heads) for heads in layers])


def one_head(attn, x, head):
    fused = isinstance(attn, nn.MultiheadAttention)
    weight = attn.in_proj_weight if fused else attn.qkv.weight
    bias = attn.in_proj_bias if fused else attn.qkv.bias
    output = attn.out_proj if fused else attn.proj
    own = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
    q, k, v = (
        x @ part.double()[own].T + constant.double()[own]
        for part, constant in zip(weight.chunk(3), bias.chunk(3), strict=True)
    )
    rows = []
    for query in q:
        scores = torch.stack([query @ key for key in k]) / (WIDTH // HEADS) ** 0.5
        weights = scores.softmax(0)
        mixed = sum(w * value for w, value in zip(weights, v, strict=True))
        rows.append(output.weight.double()[:, own] @ mixed)
    return torch.stack(rows)


def centred(x):
    return x - x.mean()


def deviation(x, norm):
    return (centred(x).square().mean() + norm.eps).sqrt()


def by_component(function, added):
    return np.array([[function(tokens).numpy() for tokens in heads] for heads in added])


def mean_then_norm(visual, final, added):
    norm, projection = visual.ln_post, visual.proj.double()
    scale = deviation(final[1:].mean(0), norm)
    return by_component(
        lambda c: centred(c[1:].mean(0)) / scale * norm.weight.double() @ projection, added
    )


def norm_then_mean(visual, final, added):
    norm, projection = visual.ln_post, visual.proj.double()

    def part(c):
        rows = [
            centred(token) / deviation(x, norm) * norm.weight.double()
            for token, x in zip(c[1:], final[1:], strict=True)
        ]
        return torch.stack(rows).mean(0) @ projection

    return by_component(part, added)


def attended(tokens, final, norm, query, key, key_bias, value, output, heads):
    """One component through attention pooling: per pool head, then its value and output."""
    size = len(query) // heads
    normed = [
        centred(x) / deviation(x, norm) * norm.weight.double() + norm.bias.double() for x in final
    ]
    found = 0
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        keys = [key[own] @ x + key_bias[own] for x in normed]
        weights = (torch.stack([query[own] @ k for k in keys]) / size**0.5).softmax(0)
        for weight, token, x in zip(weights, tokens, final, strict=True):
            moved = centred(token) / deviation(x, norm) * norm.weight.double()
            found = found + weight * (output[:, own] @ (value[own] @ moved))
    return found


def siglip(visual, final, added):
    trunk, pool = visual.trunk, visual.trunk.attn_pool
    key, value = pool.kv.weight.double().chunk(2)
    query = pool.q(pool.latent[0, 0]).double()
    head = trunk.head.weight.double()
    return by_component(
        lambda c: (
            head
            @ attended(
                c,
                final,
                trunk.norm,
                query,
                key,
                pool.kv.bias.double().chunk(2)[0],
                value,
                pool.proj.weight.double(),
                pool.num_heads,
            )
        ),
        added,
    )


def coca(visual, final, added):
    pool, norm = visual.attn_pool, visual.ln_post
    attn = pool.attn
    query_bias, key_bias, _ = attn.in_proj_bias.double().chunk(3)
    query = attn.q_proj_weight.double() @ pool.ln_q(pool.query[0]).double() + query_bias
    pooled = pool(final[None].float())[0, 0].double()
    scale = deviation(pooled, norm)
    weights = attn.k_proj_weight.double(), key_bias, attn.v_proj_weight.double()
    output = attn.out_proj.weight.double()

    def part(c):
        z = attended(c, final, pool.ln_k, query, *weights, output, attn.num_heads)
        return centred(z) / scale * norm.weight.double() @ visual.proj.double()

    return by_component(part, added)


LOOPS = {
    "mean, then norm": mean_then_norm,
    "norm, then mean": norm_then_mean,
    "SigLIP": siglip,
    "CoCa": coca,
}


def test_a_pass_in_pieces_gives_the_same(encoded):
    _, tower, images, encoding = encoded
    with torch.inference_mode():
        parts = [forward(tower, one[None], by_token=True) for one in images]
        pieces = Encoding(join(parts), Readout(tower))
    for name in ("embedding", "heads", "mlps", "rest", "tokens", "depths", "attention"):
        assert relative_error(getattr(pieces, name), getattr(encoding, name)) <= 1e-5


def test_what_a_pass_keeps_is_bounded():
    torch.manual_seed(0)
    token, pooled = (open_tower(KINDS[kind]()) for kind in ("class token", "SigLIP"))
    assert images_at_once(token, by_token=False) > 8 * images_at_once(pooled, by_token=False)
    assert images_at_once(pooled, by_token=True) < images_at_once(pooled, by_token=False)


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda: open_clip_tower(qk_norm=True), "CustomResidualAttentionBlock"),
        (lambda: timm_tower(global_pool="max"), "pooling"),
        (lambda: timm_tower(attn_layer="diff", global_pool="token"), "DiffAttention"),
        (lambda: Trunk(timm.create_model("resnet10t"), SIZE), "ResNet"),
    ],
)
def test_what_is_not_known_is_not_guessed(make, reason):
    with pytest.raises(UnknownTower, match=reason):
        open_tower(make())


def test_a_residual_network_gives_the_shift_and_says_why_no_more(pixels, tmp_path):
    with tiny.registered(tmp_path, **tiny.RESIDUAL):
        model = load("RN-tiny", device="cpu")
        assert not capabilities("RN-tiny").account
        assert capabilities("RN-tiny").why_not("texts") == ""
        encoding = model.encode(pixels)
        assert encoding.embedding.shape == (2, model.features) == (2, 8)
        for ask in (lambda: encoding.heads, lambda: encoding.attention, lambda: model.grid):
            with pytest.raises(WorkbookError, match=r"RN-tiny does not give .*ModifiedResNet\."):
                ask()


@pytest.mark.parametrize(
    "name, account",
    [
        ("embedded", True),
        ("ViT-B-32", True),
        ("ViT-B-16-SigLIP2", True),
        ("EVA02-E-14", True),
        ("coca_ViT-B-32", True),
        ("ViT-L-14-CLIPA", True),
        ("PE-Core-B-16", True),
        ("ViTamin-S", True),
        ("convnext_base", False),
        ("swin_base_patch4_window7_224", False),
        ("MobileCLIP-S1", False),
    ],
)
def test_capabilities_are_known_without_weights(name, account):
    assert capabilities(name).account is account
    assert capabilities(name).attention is account


def test_the_table_of_towers_names_all_models():
    with TABLE.open(encoding="utf-8", newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == list(open_clip_names())


@pytest.mark.parametrize(
    "name",
    [
        "ViT-B-32",
        "EVA02-B-16",
        "ViT-B-16-SigLIP",
        "RN50",
        "convnext_base",
        "vit_relpos_medium_patch16_cls_224",
    ],
)
def test_the_table_of_towers_says_what_building_one_gives(name):
    with torch.device("meta"):
        visual = vision_tower(get_model_config(name))
    reasons = capabilities(name).reasons
    assert (reasons.get("account"), reasons.get("neurons")) == why_unknown(visual)
