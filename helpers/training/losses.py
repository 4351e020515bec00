"""The two losses that the embedded model is trained with."""

import torch
from torch import Tensor
from torch.nn import functional

# A logit this low has no part in a softmax, and its gradient is 0 where -inf would give NaN
EXCLUDED = -1e4


def contrastive_loss(images: Tensor, texts: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
    """Tell the captions of a picture from those of the others, and the reverse.

    The loss of CLIP (Radford et al. 2021, section 2.3) for several captions a picture, where a
    caption that also happens to be true of another picture is left out of the negatives there.
    """
    pictures = len(images)
    own = torch.arange(len(texts), device=texts.device) % pictures
    logits = scale * texts @ images.T  # captions × pictures
    is_own = torch.zeros_like(truth)
    is_own[torch.arange(len(texts)), own] = True
    logits = logits.masked_fill(truth & ~is_own, EXCLUDED)
    by_text = functional.cross_entropy(logits, own)
    # per picture: each of its captions against all the captions that are not its own
    others = logits.masked_fill(is_own, EXCLUDED).logsumexp(0)
    by_picture = functional.softplus(others[own] - logits[is_own]).mean()
    return (by_text + by_picture) / 2


def property_loss(images: Tensor, prompts: Tensor, present: Tensor, scale: Tensor) -> Tensor:
    """Tell the values of a property that a picture has from those that it has not.

    A softmax cross-entropy for each value present, against all the absent ones.
    """
    logits = scale * images @ prompts.T
    absent = logits.masked_fill(present, EXCLUDED).logsumexp(1, keepdim=True)
    each = functional.softplus(absent - logits)
    return each[present].sum() / present.sum().clamp(min=1)
