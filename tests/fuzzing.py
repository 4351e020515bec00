"""Readers fed with valid files that were changed at random; what must hold of whatever comes.

Changes keep what a reader would look at first: after most of them the checksums of PNG and tar are
put right again, so that what lies behind them is reached.
"""

import tarfile
import tempfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.checks import WorkbookError
from helpers.data import UnreadableImage, open_images
from helpers.data.decode import decode
from helpers.data.texts import open_texts
from tests.corpus import archive, chunk, encoded, member, red_png, sparse, tiff

CHANGES, LOOKED_AT = 4, 8
BYTES = [b"\0", b"\xff", b"\x80", b"\x7f\xff", b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]
SIGNS = [b'"', b"\n", b"\r", b",", b";", b"\t", b"../", b"/", b"~", b"\xff\xfe", "é".encode(), b" "]
NOISE = np.random.default_rng(1).integers(0, 256, (9, 7, 4), dtype=np.uint8)

Repair = Callable[[bytes], bytes]


@st.composite
def changed(draw, seeds: list[bytes], puts: list[bytes], repair: Repair = bytes) -> bytes:
    """A valid file after a few replacements, insertions and cuts, seldom one at its start."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, CHANGES))):
        start = _spread(draw(st.integers(0, 2**32)), len(data))
        put = draw(st.one_of(st.sampled_from(puts), st.binary(max_size=3)))
        # Of the same length as a rule, so that what follows stays where a reader expects it.
        gone = draw(st.sampled_from([len(put)] * 9 + [0, 1, 16, len(data)]))
        data = data[:start] + put + data[start + gone :]
    return repair(data) if draw(st.integers(0, 7)) else data


def _spread(number: int, length: int) -> int:
    # hypothesis likes small numbers, which would all be places in the first bytes.
    return number * 2654435761 % 2**32 * length >> 32


def png_repaired(data: bytes) -> bytes:
    """Give every chunk of a PNG its checksum."""
    whole, at = data[:8], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        whole += chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return whole + data[at:]


def tar_repaired(data: bytes) -> bytes:
    """Give every block that may be a header its checksum."""
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    return b"".join(_header_repaired(block) if b"ustar" in block else block for block in blocks)


def _header_repaired(block: bytes) -> bytes:
    sum_of_bytes = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
    return block[:148] + b"%06o\0 " % (sum_of_bytes % 8**6) + block[156:]


def pictures(kind: str) -> list[bytes]:
    """Small valid pictures of a format."""
    grey, colour = Image.fromarray(NOISE[..., 0]), Image.fromarray(NOISE[..., :3])
    many = {"save_all": True, "append_images": [colour]} if kind in ("GIF", "TIFF", "WEBP") else {}
    exif = Image.Exif()
    exif[0x0112] = 6
    extra = {"exif": exif} if kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF") else {}
    alpha = [encoded(Image.fromarray(NOISE), kind)] if kind in ("PNG", "TIFF", "WEBP") else []
    return [encoded(grey, kind), encoded(colour, kind, **many, **extra), *alpha]


def archives() -> list[bytes]:
    """Small valid shards in the three dialects of tar."""
    members = [
        member("a.png", red_png()),
        member("a.txt", b"a cat"),
        member("b/" + "é" * 120 + ".png", red_png()),
        member("b.json", b'{"caption": "a dog"}'),
    ]
    dialects = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)
    return [archive(*members, format=dialect) for dialect in dialects] + [sparse()]


LISTS = [
    b"path,caption\na.png,a cat\n",
    b'caption;path\n"a; ""cat""";b.png\n;c.png\n',
    "\ufeffimage\tcaption\na.png\té\n".encode(),
    "filepath,caption\na.png,é\n".encode("utf-16"),
    b"a.png\nsub/b.png\n\n./c.jpg\n",
    b"a.png#0\ta cat\na.png#1\ta dog\n",
    b"image_name| comment_number| comment\na.png| 0| a cat\nsub\\\\b.png| 1| a dog\n",
]
JSON_LINES = [
    b'{"file_name": "a.png", "text": "a cat", "label": 1}\n{"file_name": "b.png"}\n',
    '{"image": "a.png", "captions": ["\\ud800", "é"]}\n{"image": "a.png", "caption": "b"}'.encode(),
    b'{"key": "a", "url": "https://example.org/a.jpg", "exif": {"a": [1, null]}}\n',
]
TEXTS = [
    b"text,property,value\na cat,animal,cat\na dog,animal,\n",
    b'property;text\n;"a; ""cat"""\n',
    "text\né\n".encode("utf-16"),
    b"a cat\na dog\n\n",
]


def check_decoder(data: bytes) -> None:
    """Whatever the bytes: pixels, or one line."""
    try:
        pixels = decode(BytesIO(data), "x")
    except UnreadableImage as error:
        assert_one_line(error)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert pixels.size


def check_source(name: str, data: bytes) -> None:
    """Whatever the list or shard holds: images of its own folder, or one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            images = open_images(path)
        except WorkbookError as error:
            assert_one_line(error)
            return
        for image in images[:LOOKED_AT]:
            assert image.path.is_relative_to(folder)
            assert image.id.isprintable() or "\n" not in image.id
            image.id.encode()
            check_image(image)
        assert len(images.fingerprint) == 64


def check_image(image) -> None:
    """Whatever the image is: pixels and a text, or one line."""
    try:
        assert image.pixels.shape[2] == 3
        assert all(text.encode() for text in (*image.captions, *image.metadata.values()))
    except UnreadableImage as error:
        assert_one_line(error)


def check_texts(name: str, data: bytes) -> None:
    """Whatever the file holds: texts, or one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            texts = open_texts(path)
        except WorkbookError as error:
            assert_one_line(error)
        else:
            assert all(text.strip() for text in texts.texts)
            assert len(texts.fingerprint) == 64


def assert_one_line(error: Exception) -> None:
    assert "\n" not in str(error)
    assert str(error).endswith(".")


def _decoder(kind: str) -> tuple[st.SearchStrategy[bytes], Callable[[bytes], None]]:
    seeds = [*pictures(kind), *([tiff(NOISE[..., 0].astype(np.uint16))] if kind == "TIFF" else [])]
    return changed(seeds, BYTES, png_repaired if kind == "PNG" else bytes), check_decoder


FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
READERS: Mapping[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], None]]] = {
    **{kind: _decoder(kind) for kind in FORMATS},
    "tar": (
        changed(archives(), [*BYTES, *SIGNS], tar_repaired),
        lambda data: check_source("s.tar", data),
    ),
    "list.csv": (changed(LISTS, SIGNS), lambda data: check_source("list.csv", data)),
    "list.txt": (changed(LISTS, SIGNS), lambda data: check_source("list.txt", data)),
    "list.jsonl": (
        changed(JSON_LINES, [*SIGNS, b"{", b"[", b"]", b"}", b"null", b"\\ud8"]),
        lambda data: check_source("list.jsonl", data),
    ),
    "texts.csv": (changed(TEXTS, SIGNS), lambda data: check_texts("texts.csv", data)),
    "texts.txt": (changed(TEXTS, SIGNS), lambda data: check_texts("texts.txt", data)),
}
"""Reader → files for it, and the check of what it makes of one."""


def fuzz(reader: str, tally: Callable[..., None], **options) -> None:
    """Run a reader on files made up by hypothesis, and count them."""
    files, check = READERS[reader]
    count = failed = 0

    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), **options)
    @given(files)
    def run(data):
        nonlocal count, failed
        count, failed = count + 1, 1
        check(data)
        failed = 0

    try:
        run()
    finally:
        tally("decoders and list readers fuzzed", count, lost=failed)
