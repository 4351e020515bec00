"""A loaded CLIP: images and texts in, NumPy arrays out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from open_clip.model import CLIP
from torchvision.transforms import v2

from helpers.checks import WorkbookError
from helpers.clip.decomposition import Encoding, Readout
from helpers.clip.forward import Restored, forward

TEXTS_AT_ONCE = 256  # a pool of thousands would fill the memory


@dataclass(frozen=True)
class Model:
    """A CLIP with a vision transformer, ready to encode.

    Attributes
    ----------
    clip : CLIP
        open_clip's model, in evaluation mode, float32 weights, on `device`.
    tokenizer : callable
        Texts and a `context_length` to token numbers, n × context length, padded with zeros.
    name, pretrained : str
        What `load` was asked for.
    title : str
        How results name the model; it says *untrained* or *embedded* where that is so.
    fingerprint : str
        SHA-256 of the weights file: results of other weights are never mixed with these.
    mean, std : tuple of float
        Per-channel normalisation of pixels in [0, 1].
    device, precision : str
        Where and in which numbers the forward pass runs.
    """

    clip: CLIP
    tokenizer: Callable[..., torch.Tensor]
    name: str
    pretrained: str | None
    title: str
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: str
    precision: str

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return tuple(self.clip.visual.grid_size)

    @property
    def layers(self) -> int:
        """Number of layers of the vision tower."""
        return len(self.clip.visual.transformer.resblocks)

    @property
    def heads(self) -> int:
        """Number of heads in each layer of the vision tower."""
        return self.clip.visual.transformer.resblocks[0].attn.num_heads

    @property
    def head_width(self) -> int:
        """Dimensions of a head: its contributions span no more."""
        return self.clip.visual.transformer.width // self.heads

    @property
    def features(self) -> int:
        """Length of an embedding."""
        return self.clip.visual.output_dim

    @cached_property
    def _readout(self) -> Readout:
        with torch.no_grad():
            return Readout(self.clip.visual)

    def encode(self, pixels: np.ndarray, *, by_token: bool = False) -> Encoding:
        """Encode images in one forward pass.

        Parameters
        ----------
        pixels : ndarray of uint8, n × height × width × 3
            RGB images, as the views are: 224×224. A model of another input size gets them resized
            (bicubic, antialiased).
        by_token : bool
            Whether to keep what each head reads from each token, for `Encoding.tokens` and
            `Encoding.tokens_of_heads`.

        Returns
        -------
        Encoding

        Raises
        ------
        WorkbookError
            If `pixels` has another shape or type.
        """
        with torch.inference_mode(), self._autocast():
            pixels = self._normalised(pixels)
            embedding, token = forward(self.clip.visual, pixels, by_token=by_token)
        with torch.inference_mode():
            return Encoding(embedding, token, self._readout, self.grid)

    def encode_restored(
        self, pixels: np.ndarray, original: Encoding, heads: np.ndarray
    ) -> np.ndarray:
        """Encode images with some heads put back to what they wrote for other images.

        What these heads write to the class token is exchanged in the forward pass, and all later
        layers respond: activation patching.

        Parameters
        ----------
        pixels : ndarray of uint8, n × height × width × 3
            As for `encode`.
        original : Encoding
            Encoding of the n images whose head outputs are put in place.
        heads : ndarray of bool, n × layers × heads
            Which heads to put back, image by image.

        Returns
        -------
        ndarray, n × features
            Embeddings, not normalised.

        Raises
        ------
        WorkbookError
            If the shapes don't match.
        """
        expected = (len(pixels), *original.head_outputs.shape[1:3])
        if np.shape(heads) != expected or len(original.head_outputs) != len(pixels):
            raise WorkbookError(
                f"Heads of shape {np.shape(heads)} and {len(original.head_outputs)} original images"
                f" don't fit {len(pixels)} images; heads must have the shape {expected}."
            )
        chosen = torch.from_numpy(np.asarray(heads, bool)).to(self.device)
        restored = Restored(chosen, original.head_outputs)
        with torch.inference_mode(), self._autocast():
            embedding, _ = forward(self.clip.visual, self._normalised(pixels), restored=restored)
        return embedding.cpu().numpy()

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of str
            n texts, each within the model's context length.

        Returns
        -------
        ndarray, n × features
            Projected text features, float32, not normalised.

        Raises
        ------
        WorkbookError
            If there is no text, or one is empty or longer than the context.
        """
        batches = self._tokens(texts).to(self.device).split(TEXTS_AT_ONCE)
        with torch.inference_mode(), self._autocast():
            encoded = [self.clip.encode_text(tokens).float().cpu() for tokens in batches]
        return torch.cat(encoded).numpy()

    def check_texts(self, texts: Sequence[str]) -> None:
        """Check that the model can read texts, without encoding them.

        Parameters
        ----------
        texts : sequence of str

        Raises
        ------
        WorkbookError
            As `encode_text` does.
        """
        self._tokens(texts)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _normalised(self, pixels: np.ndarray) -> torch.Tensor:
        pixels = np.asarray(pixels)
        if pixels.ndim != 4 or pixels.shape[-1] != 3 or pixels.dtype != np.uint8 or not len(pixels):
            raise WorkbookError(
                f"Images of shape {pixels.shape} and type {pixels.dtype} can't be encoded; give"
                " uint8 RGB images, n × height × width × 3."
            )
        images = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(0, 3, 1, 2)
        size = list(self.clip.visual.image_size)
        if list(images.shape[-2:]) != size:
            bicubic = v2.InterpolationMode.BICUBIC
            images = v2.functional.resize(images, size, interpolation=bicubic, antialias=True)
        images = v2.functional.to_dtype(images, torch.float32, scale=True)
        return v2.functional.normalize(images, self.mean, self.std)

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
