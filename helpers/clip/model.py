"""A loaded CLIP: images and texts in, NumPy arrays out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
import torch
from torchvision.transforms import v2

from helpers.checks import WorkbookError
from helpers.clip import gradients
from helpers.clip.capabilities import Capabilities
from helpers.clip.decomposition import EmbeddingAlone, Encoding, Readout, rest_labels
from helpers.clip.devices import QuickLinear
from helpers.clip.forward import (
    Parts,
    forward,
    images_at_once,
    images_in_reused_memory,
    join,
)
from helpers.clip.interventions import Means, encode_patched, exchange, means_over, with_ablated
from helpers.clip.tokenizers import encode_tokens
from helpers.clip.towers import Tower, UnknownTower, open_tower
from helpers.data.preprocessing import Preprocessing

ACTIVATIONS = ("QuickGELU", "GELU", "GELUTanh", "SiLU", "SwiGLU")
"""Classes of activations of the image towers."""


@dataclass(frozen=True)
class Model:
    """A CLIP, ready to encode.

    Attributes
    ----------
    clip : Module
        open_clip's model, or one that encodes alike, in evaluation mode, float32 weights, on
        `device`.
    tokenizer : callable
        Texts and a `context_length` to token numbers, n × context length; the last is 0 where a
        text is shorter.
    name, pretrained : str
        What `load` was asked for.
    title : str
        How results name the model; it says *untrained* or *embedded* where that is so.
    fingerprint : str
        SHA-256 of the weights file: results of other weights are never mixed with these.
    features : int
        Length of an embedding.
    mean, std : tuple of float
        Per-channel normalisation of pixels in [0, 1].
    resizing : mapping of str to object
        How images are brought to its size; see `preprocessing`.
    device, precision : str
        Where and in which numbers the forward pass runs.
    notes : tuple of str
        How its weights and configuration were read, where that was not plain.
    """

    clip: torch.nn.Module
    tokenizer: Callable[..., torch.Tensor]
    name: str
    pretrained: str | None
    title: str
    fingerprint: str
    features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resizing: Mapping[str, object]
    device: str
    precision: str
    notes: tuple[str, ...] = ()

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the model can give beside embeddings of images."""
        no_texts = getattr(self.tokenizer, "reason", None)
        if isinstance(self._opened, str):
            return Capabilities.of(self.name, self._opened, self._opened, no_texts)
        return Capabilities.of(self.name, None, self._opened.no_neurons, no_texts)

    @property
    def tower(self) -> Tower:
        """The vision tower, by its parts."""
        if isinstance(self._opened, str):
            raise WorkbookError(self.capabilities.why_not("account"))
        return self._opened

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that the model reads."""
        size = self.clip.visual.image_size
        return (size, size) if isinstance(size, int) else tuple(size)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model's own code brings images to the size that it reads."""
        return Preprocessing(self.image_size, **self.resizing)

    @property
    def opened_as(self) -> str:
        """In a sentence: sizes, activation, normalisation of pixels, and `notes`."""
        height, width = self.image_size
        mean, std = (" ".join(f"{value:.3f}" for value in of) for of in (self.mean, self.std))
        kinds = [type(part).__name__ for part in self.clip.visual.modules()]
        activation = next((kind for kind in kinds if kind in ACTIVATIONS), "another activation")
        texts = f"texts of {self.clip.context_length} tokens" if self.capabilities.texts else ""
        parts = [
            f"images of {height} × {width}",
            texts or "no texts",
            activation,
            f"pixels less {mean}, over {std}",
            *self.notes,
        ]
        return f"{self.title}: {'; '.join(parts)}."

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.tower.grid

    @property
    def layers(self) -> int:
        """Number of layers of the vision tower."""
        return len(self.tower.blocks)

    @property
    def heads(self) -> int:
        """Number of heads in each layer of the vision tower."""
        return self.tower.heads

    @property
    def neurons(self) -> int:
        """Number of neurons of each layer's MLP."""
        return self.tower.neurons

    @property
    def head_width(self) -> int:
        """Dimensions of what a head writes: its contributions span no more."""
        return self.tower.head_width

    @property
    def rest_labels(self) -> list[str]:
        """Names of what completes the account beside heads and MLPs; see `Encoding.rest`."""
        return rest_labels(self.layers, self.tower.pool.mlp is not None)

    @property
    def logit_scale(self) -> float:
        """Factor of a cosine similarity in the model's logits."""
        return self.clip.logit_scale.exp().item()

    @property
    def logit_bias(self) -> float | None:
        """What is added to it, in a model that judges pairs one by one (SigLIP)."""
        bias = getattr(self.clip, "logit_bias", None)
        return None if bias is None else bias.item()

    def head_weights(self, layers: int) -> np.ndarray:
        """Return what heads of the last layers write, whatever they read, from weights alone.

        Of shape layers × heads × rows × features; see `Readout.head_weights`.
        """
        with torch.inference_mode():
            rows = [self._readout.head_weights(layer) for layer in range(-layers, 0)]
        return torch.stack(rows).float().cpu().numpy()

    @cached_property
    def _opened(self) -> Tower | str:
        """The tower, or why it can't be taken apart."""
        try:
            with torch.no_grad():
                return open_tower(self.clip.visual)
        except UnknownTower as error:
            return str(error)

    @cached_property
    def _readout(self) -> Readout:
        with torch.no_grad():
            made = Readout(self.tower)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)  # it will be read on other streams, too
        return made

    def upload(self, pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Bring pixels to the model's device; from pinned memory, without waiting for it."""
        if not isinstance(pixels, torch.Tensor):
            pixels = torch.from_numpy(np.ascontiguousarray(pixels))
        return pixels.to(self.device, non_blocking=True)

    def encode(
        self,
        pixels: np.ndarray | torch.Tensor,
        *,
        by_token: bool = False,
        neurons: bool = False,
        tensors: bool = False,
    ) -> Encoding:
        """Encode images in one forward pass.

        Parameters
        ----------
        pixels : ndarray or Tensor of uint8, n × height × width × 3
            RGB images, as the views are. A model of another input size gets them resized (bicubic,
            antialiased).
        by_token : bool
            Whether to keep what each head reads from each token, for `Encoding.tokens`,
            `Encoding.tokens_along` and `Encoding.tokens_of_heads`.
        neurons : bool
            Whether to keep how strongly every neuron of the MLPs fires, for `Encoding.neurons`.
        tensors : bool
            Whether the encoding gives tensors on the model's device, instead of NumPy arrays.

        Returns
        -------
        Encoding
            Where the tower can't be taken apart (`capabilities`), of the embedding alone.

        Raises
        ------
        WorkbookError
            If `pixels` has another shape or type, or there is no account of neurons.

        Examples
        --------
        >>> from helpers.clip import load
        >>> from helpers.data import open_images
        >>> encoding = load("embedded").encode(open_images("photos")[0].pixels[None])
        >>> encoding.embedding.shape, encoding.heads.shape  # and by layer and head
        ((1, 128), (1, 6, 6, 128))
        """
        if neurons and not self.capabilities.neurons:
            raise WorkbookError(self.capabilities.why_not("neurons"))
        if not self.capabilities.account:
            with torch.inference_mode(), self._autocast(), QuickLinear():
                embedding = self.clip.encode_image(self._normalised(pixels))
            reason = self.capabilities.why_not("account")
            return EmbeddingAlone(embedding, reason, tensors=tensors)
        keeping = {"by_token": by_token, "neurons": neurons}
        count = self._passes(len(pixels), **keeping)
        with torch.inference_mode():
            pieces = self._normalised(pixels).tensor_split(count)
            parts = join([self._pass(piece, **keeping) for piece in pieces])
            return Encoding(parts, self._readout, tensors=tensors)

    def _passes(self, images: int, **keeping: bool) -> int:
        """Return in how many passes images are encoded, of about as many images each."""
        size = images_at_once(self.tower, **keeping)
        if self.device == "cpu":
            size = min(size, images_in_reused_memory(self.tower))
        return ceil(images / size)

    def _pass(self, pixels: torch.Tensor, **keeping: bool) -> Parts:
        with self._autocast(), QuickLinear():
            return forward(self.tower, pixels, **keeping)

    def encode_patched(
        self, pixels: np.ndarray, originals: np.ndarray, **parts: np.ndarray | None
    ) -> np.ndarray:
        """Encode images with some parts patched: they write what they wrote for other images.

        Of shape … × n × features.

        What these parts write is exchanged in the forward pass, and all that follows responds:
        activation patching. Parts are bool: ``heads`` (… × n × layers × heads), ``mlps`` and
        ``stream``, the residual stream after a layer (… × n × layers), each at ``tokens`` (… × n ×
        tokens; all by default).
        """
        if len(originals) != len(pixels):
            raise WorkbookError(
                f"{len(originals)} original images don't fit {len(pixels)} images; give as many."
            )
        chosen, leading = exchange(self.tower, len(pixels), parts, self.device)
        count = self._passes(len(pixels), by_token=False)
        with torch.inference_mode(), self._autocast(), QuickLinear():
            pieces = zip(
                self._normalised(pixels).tensor_split(count),
                self._normalised(originals).tensor_split(count),
                chosen.split(count),
                strict=True,
            )
            encoded = [encode_patched(self.tower, *piece) for piece in pieces]
        return torch.cat(encoded, dim=1).float().cpu().numpy().reshape(*leading, -1)

    @property
    def read_tokens(self) -> np.ndarray:
        """Which tokens the embedding is read from, bool: the class token, or the patches."""
        read = np.zeros(self.tower.tokens, bool)
        read[self.tower.pool.reads] = True
        return read

    def gradient_maps(self, pixels: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Weight attention by gradients towards texts: a comparator of the exact account's maps.

        Of shape n × texts × rows × columns.
        """
        along = torch.from_numpy(np.asarray(directions, np.float32)).to(self.device)
        with torch.no_grad():
            count = self._passes(len(pixels), by_token=True)
            split = (each.tensor_split(count) for each in (self._normalised(pixels), along))
            pieces = zip(*split, strict=True)
            maps = torch.cat([gradients.gradient_weighted(self.tower, *piece) for piece in pieces])
        return maps.unflatten(-1, self.grid).cpu().numpy()

    def adversarial(self, pixels: np.ndarray, radius: int, start: np.ndarray) -> np.ndarray:
        """Move an image's pixels, by a few grey levels each, so that its embedding moves far.

        Projected gradient descent of the cosine with the original's embedding; see
        `helpers.clip.gradients`.

        Parameters
        ----------
        pixels : ndarray of uint8, height × width × 3
        radius : int
            Grey levels of 255 by which any colour of a pixel may change.
        start : ndarray, height × width × 3
            From -1 to 1, times `radius`: where the descent starts.

        Returns
        -------
        ndarray of uint8, height × width × 3

        Raises
        ------
        WorkbookError
            If the model gives no gradient along its pixels.
        """
        return gradients.adversarial(self, pixels, radius, start)

    def embedded_with_gradient(self, images: torch.Tensor) -> torch.Tensor:
        """Embed n × 3 × height × width grey levels of float32, to be differentiated by them."""
        images = self._scaled(images / 255)
        with torch.autocast(self.device, enabled=False):
            if self.capabilities.account:  # of a tower with parts ablated, too
                return forward(self.tower, images).embedding
            return self.clip.encode_image(images)

    def means_over(self, pixels: np.ndarray) -> Means:
        """Average what heads write and how neurons fire, token by token.

        Parameters
        ----------
        pixels : ndarray of uint8, n × height × width × 3

        Returns
        -------
        Means
            For `with_heads_ablated` and `with_neurons_ablated`.

        Raises
        ------
        WorkbookError
            If the model gives no exact account.
        """
        # Numbers of inference mode could take no part in a later gradient.
        with torch.no_grad(), self._autocast(), QuickLinear():
            return means_over(self.tower, self._normalised(pixels))

    def with_heads_ablated(self, heads: np.ndarray, means: Means) -> "Model":
        """Return the model with some heads replaced by what they write on average: mean ablation.

        Parameters
        ----------
        heads : ndarray of bool, layers × heads
        means : Means
            As of `means_over`.

        Returns
        -------
        Model
            Whatever `encode` gives is of the model so altered, in which later layers respond.

        Raises
        ------
        WorkbookError
            If `heads` has another shape, or the model gives no exact account.
        """
        return self._ablated(means, "heads", heads)

    def with_neurons_ablated(self, neurons: np.ndarray, means: Means) -> "Model":
        """Return the model with some neurons firing as they do on average, as for heads."""
        return self._ablated(means, "neurons", neurons)

    def _ablated(self, means: Means, name: str, chosen: np.ndarray) -> "Model":
        shapes = {
            "heads": (self.layers, self.heads),
            "neurons": (self.layers, means.fired[0].shape[-1]),
        }
        if np.shape(chosen) != shapes[name]:
            raise WorkbookError(
                f"A choice of {name} of shape {np.shape(chosen)} doesn't fit; it must have the"
                f" shape {shapes[name]}."
            )
        masks = {kind: np.zeros(shape, bool) for kind, shape in shapes.items()}
        masks[name] = np.asarray(chosen, bool)
        on_device = {kind: torch.from_numpy(mask).to(self.device) for kind, mask in masks.items()}
        with torch.no_grad():
            altered = with_ablated(self.tower, means, **on_device)
        model = replace(self)
        model.__dict__.update(_opened=altered, _readout=self._readout)
        return model

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts: n × features."""
        tokens = self._tokens(texts).to(self.device)
        with torch.inference_mode(), self._autocast():
            encoded = encode_tokens(self.clip, tokens)
        finite = encoded.isfinite().all(dim=1).tolist()
        if not all(finite):
            raise WorkbookError(
                f"{self.title} gives numbers that are not finite for the text"
                f" {texts[finite.index(False)]!r}; choose another precision, model or text."
            )
        return encoded.numpy()

    def check_texts(self, texts: Sequence[str]) -> str:
        """Check that the model can read texts, without encoding them."""
        return getattr(self.tokenizer, "unknown", lambda _: "")(self._tokens(texts))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _normalised(self, pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
        pixels = pixels if isinstance(pixels, torch.Tensor) else np.asarray(pixels)
        kind = str(pixels.dtype).removeprefix("torch.")
        if pixels.ndim != 4 or pixels.shape[-1] != 3 or kind != "uint8" or not len(pixels):
            raise WorkbookError(
                f"Images of shape {tuple(pixels.shape)} and type {kind} can't be encoded; give"
                " uint8 RGB images, n × height × width × 3."
            )
        images = self._sized(self.upload(pixels).permute(0, 3, 1, 2))
        return self._scaled(v2.functional.to_dtype(images, torch.float32, scale=True))

    def _scaled(self, images: torch.Tensor) -> torch.Tensor:
        # As torchvision's `normalize` does, but along whole rows: along three colours it took six
        # times as long.
        rows = self._sized(images).permute(0, 2, 3, 1)
        mean, std = (rows.new_tensor(each).repeat(rows.shape[2]) for each in (self.mean, self.std))
        scaled = (rows.flatten(2) - mean) / std
        return scaled.unflatten(2, rows.shape[2:]).permute(0, 3, 1, 2)

    def _sized(self, images: torch.Tensor) -> torch.Tensor:
        size = list(self.image_size)
        if list(images.shape[-2:]) == size:
            return images
        bicubic = v2.InterpolationMode.BICUBIC
        return v2.functional.resize(images, size, interpolation=bicubic, antialias=True)

    def _tokens(self, texts: Sequence[str]) -> torch.Tensor:
        if isinstance(texts, str) or not texts or not all(text.strip() for text in texts):
            raise WorkbookError(f"Texts must be a list of non-empty strings; got {texts!r}.")
        limit = self.clip.context_length
        # One place more than the model reads: a text that fills it would be cut off silently.
        tokens = self.tokenizer(list(texts), context_length=limit + 1)
        for text, row in zip(texts, tokens, strict=True):
            if row[limit] != 0:
                raise WorkbookError(
                    f"The text {text[:60]!r} is longer than the {limit} tokens that {self.title}"
                    " reads (start and end mark included); shorten it."
                )
        return tokens[:, :limit]
