"""Where training starts: a patch projection and a position embedding that already see."""

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.transform import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from helpers.clip.embedded import architecture
from helpers.clip.embedded.text import known_tokens
from helpers.data import scenes
from helpers.data.opencv import cv2

POSITION_SCALE = 0.5  # root mean square of the position embedding; patches come in at 1
CALIBRATION_SCENES = 128
OPPONENTS = np.array([(1, 1, 1), (1, -1, 0), (1, 1, -2)]) / np.sqrt([[3], [2], [6]])
# of four parts of the width, how many go to lightness, red–green and blue–yellow
SHARES = (2, 1, 1)


def new_model(name: str, seed: int) -> CLIP:
    """Build the model to be trained: open_clip's CLIP with the known rows of the token table."""
    torch.manual_seed(seed)
    made = architecture(name)
    made["text_cfg"]["vocab_size"] = len(known_tokens(name))
    model = CLIP(**made)
    vision = model.visual
    side, width = vision.grid_size[0], vision.conv1.out_channels
    with torch.no_grad():
        vision.conv1.weight.copy_(_cosine_patches(vision.patch_size[0], width))
        vision.conv1.weight.div_(_response(vision.conv1, seed).view(-1, 1, 1, 1))
        vision.positional_embedding[1:].copy_(_waves(side, width))
    return model


def normalise(pixels: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Bring uint8 pixels, n × 3 × height × width, to the range that CLIP's encoders expect."""
    mean, std = (
        torch.tensor(values, device=pixels.device, dtype=dtype).view(3, 1, 1) * 255
        for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
    )
    return pixels.to(dtype).sub_(mean).div_(std)


def _cosine_patches(side: int, width: int) -> torch.Tensor:
    """Take the lowest frequencies of the discrete cosine transform, in opponent colours.

    As the image of a patch of 3,072 values in 192 dimensions, this keeps what a small picture of
    the patch would show; random directions would have to be learned to do so.
    """
    order = sorted(np.ndindex(side, side), key=lambda f: (f[0] ** 2 + f[1] ** 2, f))
    waves = []
    for colour, share in zip(OPPONENTS, SHARES, strict=True):
        for frequency in order[: width * share // sum(SHARES)]:
            spectrum = np.zeros((side, side))
            spectrum[frequency] = 1
            waves.append(colour[:, None, None] * cv2.idct(spectrum))
    return torch.tensor(np.stack(waves), dtype=torch.float32)


def _response(projection: torch.nn.Conv2d, seed: int) -> torch.Tensor:
    """Measure each output's standard deviation on scenes."""
    pixels = scenes.draw(CALIBRATION_SCENES, seed).pixels
    out = projection(normalise(torch.from_numpy(pixels.transpose(0, 3, 1, 2))))
    return out.transpose(0, 1).flatten(1).std(1)


def _waves(side: int, width: int) -> torch.Tensor:
    """Make the 2-D sine–cosine position embedding, places × width."""
    rates = 100.0 ** -(torch.arange(width // 4) / (width // 4))
    place = torch.arange(side)
    angles = place[:, None] * rates
    wave = torch.cat([angles.sin(), angles.cos()], 1)  # side × width / 2
    rows = wave[:, None].expand(side, side, -1)
    columns = wave[None].expand(side, side, -1)
    grid = torch.cat([rows, columns], 2).reshape(side * side, width)
    return grid * POSITION_SCALE / grid.square().mean().sqrt()
