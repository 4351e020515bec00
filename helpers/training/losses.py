"""The two losses that the embedded model is trained with."""

import torch
from torch import Tensor
from torch.nn import functional

# A logit this low has no part in a softmax, and its gradient is 0 where -inf would give NaN
EXCLUDED = -1e4


def contrastive_loss(images: Tensor, texts: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
    """Distinguish the captions of a picture from those of the others, and the reverse.

    The loss of CLIP (Radford et al. 2021, section 2.3) for several captions a picture, where a
    caption that also happens to be true of another picture is left out of the negatives there.
    """
    pictures = len(images)
    picture = torch.arange(len(texts), device=texts.device) % pictures
    logits = scale * texts @ images.T  # captions × pictures
    is_match = torch.zeros_like(truth)
    is_match[torch.arange(len(texts)), picture] = True
    logits = logits.masked_fill(truth & ~is_match, EXCLUDED)
    by_text = functional.cross_entropy(logits, picture)
    # per picture: each of its captions against all the captions that are not its own
    others = logits.masked_fill(is_match, EXCLUDED).logsumexp(0)
    by_picture = functional.softplus(others[picture] - logits[is_match]).mean()
    return (by_text + by_picture) / 2


def property_loss(images: Tensor, prompts: Tensor, present: Tensor, scale: Tensor) -> Tensor:
    """Distinguish the values of a property that a picture has from those that it has not.

    A softmax cross-entropy for each value present, against all the absent ones.
    """
    logits = scale * images @ prompts.T
    absent = logits.masked_fill(present, EXCLUDED).logsumexp(1, keepdim=True)
    each = functional.softplus(absent - logits)
    return each[present].sum() / present.sum().clamp(min=1)
