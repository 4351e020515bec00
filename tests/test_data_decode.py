import errno
import pickle
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from helpers.checks import WorkbookError
from helpers.data import UnreadableImage
from helpers.data.decode import decode

RED, WHITE, BLUE = [255, 0, 0], [255, 255, 255], [0, 0, 255]
GRADIENT = np.linspace(0, 65535, 12 * 16).round().astype(np.uint16).reshape(12, 16)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def saved(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return BytesIO(file.getvalue())


def solid(mode, color):
    return Image.new(mode, (6, 4), color)


def assert_solid(pixels, color, atol=0):
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - color).max() <= atol


# Orientation

# Where EXIF orientation 1 to 8 says that the stored top left corner is to be seen.
CORNER = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("top", "left"),
    6: ("top", "right"),
    7: ("bottom", "right"),
    8: ("bottom", "left"),
}


@pytest.mark.parametrize("orientation", CORNER)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(kind, orientation):
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, :16] = RED
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"WEBP": {"lossless": True}}.get(kind, {})
    pixels = decode(saved(Image.fromarray(stored), kind, exif=exif, **lossless), "a")

    assert pixels.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    vertical, horizontal = CORNER[orientation]
    row, column = {"top": 8, "bottom": -8}[vertical], {"left": 8, "right": -8}[horizontal]
    assert pixels[row, column, 0] > 200
    # 16 of 48 columns and 16 of 32 rows are red: nothing else is.
    assert (pixels[..., 0] > 128).mean() == pytest.approx(1 / 6, abs=0.02)


def test_stored_rows_become_columns_only_for_transposing_orientations():
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[0] = RED  # one row at the top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen after a quarter turn clockwise: the top row is the right column
    pixels = decode(saved(Image.fromarray(stored), "PNG", exif=exif), "a")
    assert (pixels[:, -1] == RED).all()
    assert (pixels[:, :-1] == 0).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_leaves_the_image_readable(kind):
    file = saved(solid("RGB", "red"), kind, exif=b"Exif\0\0garbage")
    assert_solid(decode(file, "a"), RED, atol=3)


# Modes


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_grey(kind):
    assert_solid(decode(saved(solid("L", 77), kind), "a"), [77] * 3, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit(kind):
    assert_solid(decode(saved(solid("1", 1), kind), "a"), WHITE)
    assert_solid(decode(saved(solid("1", 0), kind), "a"), [0, 0, 0])


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    no_cyan = solid("CMYK", (0, 255, 255, 0))
    assert_solid(decode(saved(no_cyan, kind), "a"), RED, atol=3)


@pytest.mark.parametrize("kind", ["png", "tiff", "tiff, big-endian"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    if kind == "tiff, big-endian":
        file = saved(Image.frombytes("I;16B", (16, 12), GRADIENT.astype(">u2").tobytes()), "TIFF")
    else:
        file = BytesIO(cv2.imencode(f".{kind}", GRADIENT)[1])
    pixels = decode(file, "a")
    expected = np.rint(GRADIENT / 65535 * 255)
    assert np.array_equal(pixels, np.stack([expected] * 3, axis=-1))


def test_16_bit_colour():
    bgr = np.stack([GRADIENT * 0, GRADIENT // 2, GRADIENT], axis=-1)
    pixels = decode(BytesIO(cv2.imencode(".png", bgr)[1]), "a")
    # libpng keeps the high byte, which is less than one level from rounding.
    assert np.abs(pixels - bgr[..., ::-1] / 257).max() <= 1


def test_palette():
    image = solid("P", 1)
    image.putpalette([0, 0, 0, *BLUE])
    assert_solid(decode(saved(image, "PNG"), "a"), BLUE)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [("RGBA", (255, 0, 0, 128), [255, 127, 127]), ("LA", (0, 0), WHITE), ("LA", (0, 255), [0] * 3)],
)
def test_alpha_is_composited_on_white(mode, color, expected):
    assert_solid(decode(saved(solid(mode, color), "PNG"), "a"), expected)


@pytest.mark.parametrize(("mode", "color"), [("P", 0), ("L", 9), ("RGB", (9, 8, 7))])
def test_a_transparent_colour_is_white(mode, color):
    image = solid(mode, color)
    if mode == "P":
        image.putpalette([0, 0, 0])
    assert_solid(decode(saved(image, "PNG", transparency=color), "a"), WHITE)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_frames(kind):
    lossless = {"WEBP": {"lossless": True}}.get(kind, {})
    second = [solid("RGB", "blue")]
    file = saved(solid("RGB", "red"), kind, save_all=True, append_images=second, **lossless)
    assert_solid(decode(file, "a"), RED)


def test_the_format_is_told_from_the_bytes(tmp_path):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(saved(solid("RGB", "red"), "PNG").getvalue())
    assert_solid(decode(path, "a"), RED)


def test_extreme_sizes():
    for size in [(1, 1), (1, 4000), (4000, 1)]:
        assert decode(saved(Image.new("RGB", size), "PNG"), "a").shape == (size[1], size[0], 3)


# What can't be read


def unreadable(file):
    with pytest.raises(UnreadableImage) as caught:
        decode(file, "the/image")
    sentence = str(caught.value)
    assert sentence.startswith("Image 'the/image' can't be read: ")
    assert sentence.endswith(".")
    assert "0x" not in sentence
    assert caught.value.reason in sentence
    return caught.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_truncated(kind):
    data = saved(Image.fromarray(NOISE), kind).getvalue()
    assert unreadable(BytesIO(data[: len(data) // 2]))


def test_corrupt():
    data = bytearray(saved(Image.fromarray(NOISE), "PNG").getvalue())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    assert "broken data stream" in unreadable(BytesIO(data))


@pytest.mark.parametrize("data", [b"", b"<html>404</html>"], ids=["empty", "text"])
def test_no_image(data):
    told = "it is empty or no AVIF, BMP, GIF, JPEG, JPEG2000, PNG, PPM, TIFF or WEBP"
    assert unreadable(BytesIO(data)) == told


def test_missing_file_and_folder(tmp_path):
    assert unreadable(tmp_path / "gone.jpg") == "there is no such file"
    assert unreadable(tmp_path) == "it is a folder"


def test_decompression_bomb():
    assert "more than 178,956,970 pixels" in unreadable(
        saved(Image.new("1", (14000, 14000)), "PNG")
    )


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_without_an_agreed_white(kind):
    file = saved(Image.fromarray((GRADIENT * 100.0).astype(kind)), "TIFF")
    assert "no agreed white" in unreadable(file)


def test_the_error_is_a_workbook_error_and_survives_pickling():
    error = UnreadableImage("a", "it is gone")
    assert isinstance(error, WorkbookError)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.image_id, copy.reason) == (str(error), "a", "it is gone")


def test_a_machine_that_fails_just_now_says_nothing_of_the_image(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("helpers.data.decode.open_file", fail)
    with pytest.raises(WorkbookError, match=r"Input/output error\. That may pass") as caught:
        decode(tmp_path / "a.png", "a.png")
    assert not isinstance(caught.value, UnreadableImage)
