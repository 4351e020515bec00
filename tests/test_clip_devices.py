"""Linear layers in oneDNN give what torch gives, and are used where they can be."""

import pytest
import torch
from torch.nn import functional as F

from helpers.clip.devices import QuickLinear, linear


@pytest.fixture
def calls(monkeypatch):
    """Calls of oneDNN's linear layer."""
    found, own = [], torch.ops.mkldnn._linear_pointwise
    counted = lambda *given: found.append(given[0].shape) or own(*given)  # noqa: E731
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", counted)
    return found


def same(x, weight, bias=None):
    """Compare with the product in float64; float32 sums of 300 have errors of this size."""
    exact = F.linear(*(None if one is None else one.double() for one in (x, weight, bias)))
    difference = (linear(x, weight, bias) - exact).norm()
    return bool(difference <= 1e-6 * exact.norm())


@pytest.mark.parametrize("shape", [(300,), (50, 300), (3, 50, 300), (1, 1, 300), (0, 50, 300)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_result_is_that_of_torch(shape, has_bias, calls):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(200, 300), torch.randn(200)
    bias = bias if has_bias else None
    assert linear(x, weight, bias).shape == (*shape[:-1], 200)
    assert same(x, weight, bias)
    assert calls


def test_slices_and_transposed_layouts_are_read_right():
    torch.manual_seed(0)
    x, weight = torch.randn(6, 50, 300), torch.randn(300, 600).T
    for own in (x[:, :1], x[1:, 3:9], x.transpose(0, 1)):
        assert same(own, weight[100:400])


def test_layers_of_any_library_are_caught_inside_and_not_outside(calls):
    layer, x = torch.nn.Linear(8, 4).requires_grad_(False), torch.randn(2, 8)
    layer(x)
    assert not calls
    with QuickLinear():
        layer(x)
    assert calls == [(2, 8)]


def test_other_precisions_stay_with_torch(calls):
    layer, x = torch.nn.Linear(8, 4).requires_grad_(False), torch.randn(2, 8)
    with QuickLinear(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with QuickLinear():
        assert layer.double()(x.double()).dtype == torch.float64
    assert not calls
