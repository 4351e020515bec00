"""Odd images, folders, lists and archives, made on the fly: a row per kind, and what must happen.

Every row makes its input in an empty folder and returns the source that is then opened. What must
come of it is either a picture, compared pixel by pixel, or one line that holds the given words.
"""

import io
import json
import os
import socket
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms

RED, WHITE, BLUE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 255), (0, 0, 0)
LEVELS = np.linspace(0, 65535, 12 * 16).round().astype(np.uint16).reshape(12, 16)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes
    ----------
    name : str
    make : callable
        From an empty folder to the source that is opened.
    picture : ndarray or None
        What the first image must show.
    reason : str
        Or what must be told of it, a regular expression.
    atol : int
        How far pixels may differ, for lossy formats.
    caption : str or None
        What the first image's caption must be.
    meanwhile : callable or None
        What is done to the folder after the images were listed and before they are read.
    """

    name: str
    make: Callable[[Path], Path | str]
    picture: np.ndarray | None = None
    reason: str = ""
    atol: int = 0
    caption: str | None = None
    meanwhile: Callable[[Path], object] | None = None


# Pictures


def solid(color, height=4, width=6):
    return np.broadcast_to(np.uint8(color), (height, width, 3))


def grey(levels):
    return np.stack([np.rint(levels)] * 3, axis=-1).astype(np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode="RGB", color=RED, size=(6, 4)):
    return Image.new(mode, size, color)


def red_png():
    return encoded(plain(), "PNG")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, bits, color_type, rows, *extra, interlaced=False):
    """A PNG written by hand, for what no library writes."""
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff(values, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, values, **{"photometric": "minisblack"} | options)
    return file.getvalue()


def tiff_of_12_bits(values):
    pairs = values.reshape(-1, 2).tolist()
    data = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)
    height, width = values.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 110, 278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + data


def frames(kind, **options):
    return encoded(plain(), kind, save_all=True, append_images=[plain(color=BLUE)], **options)


def gif_with_a_small_first_frame():
    """A canvas of 6 × 4, of which the only frame covers 3 × 2 in the corner."""
    data = bytearray(encoded(plain("P", 0, (3, 2)), "GIF", transparency=1))
    data[6:10] = struct.pack("<HH", 6, 4)
    return bytes(data)


def transparent_palette(**options):
    image = plain("P", 1)
    image.putpalette([*BLACK, *RED])
    return encoded(image, "PNG", **options)


def rotated(orientation):
    """A picture whose upper left corner is red when it is seen as the EXIF tag says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = seen()
    # The inverse of what a viewer does; of the eight only quarter turns aren't their own.
    undo = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (1, 0), 7: (1, 1), 8: (3, 0)}
    turns, mirrored = undo[orientation]
    stored = np.rot90(upright, turns)
    stored = stored[:, ::-1] if mirrored else stored
    return encoded(
        Image.fromarray(np.ascontiguousarray(stored)), "JPEG", quality=100, subsampling=0, exif=exif
    )


def seen():
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16] = RED
    upright[16:, 32:] = BLUE
    return upright


def srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def bomb():
    """196 million pixels in 24 kB."""
    return encoded(Image.new("1", (14000, 14000)), "PNG")


def png_claiming(width, height, *extra):
    return png(width, height, 8, 2, [bytes(19)], *extra)


def without_the_end(data):
    return data[: len(data) // 2]


def damaged(data):
    middle = len(data) // 2
    return data[:middle] + bytes(40) + data[middle + 40 :]


# Files, links, folders


def file(data, name="a.png"):
    """A maker of a folder that holds one file."""

    def make(folder):
        (folder / name).write_bytes(data)
        return folder

    return make


def named(name):
    """A maker of a folder with a picture of this name, of bytes."""

    def make(folder):
        with open(os.path.join(os.fsencode(folder), name), "wb") as opened:
            opened.write(red_png())
        return folder

    return make


def beside(make_special):
    """A maker of a folder with something that is called a.png and is no file."""

    def make(folder):
        make_special(folder / "a.png")
        return folder

    return make


def bound(path):
    """Make a socket; its address must be short, so it is given from its folder."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def loop_of_folders(folder):
    (folder / "a.png").write_bytes(red_png())
    (folder / "again").symlink_to(folder)
    return folder


def folder_called_as_an_image(folder):
    (folder / "a.png").mkdir()
    (folder / "a.png" / "b.png").write_bytes(red_png())
    return folder


def linked(folder):
    (folder / ".target").write_bytes(red_png())
    (folder / "a.png").symlink_to(".target")
    return folder


def gone(folder):
    (folder / "a.png").unlink()


def other(folder):
    # Of the same size, a second later.
    (folder / "a.png").write_bytes(encoded(plain(color=BLUE), "PNG"))
    os.utime(folder / "a.png", (0, 0))


def pipe_now(folder):
    gone(folder)
    os.mkfifo(folder / "a.png")


def folder_now(folder):
    gone(folder)
    (folder / "a.png").mkdir()


def cut_now(folder):
    os.truncate(folder / "a.png", 40)


# Archives


def member(name, data=b"", kind=tarfile.REGTYPE, **attributes):
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, data


def archive(*members, **options):
    """The bytes of a tar file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def shard(*members, **options):
    """A maker of a shard."""
    return packed(archive(*members, **options))


def packed(data):
    def make(folder):
        (folder / "s.tar").write_bytes(data)
        return folder / "s.tar"

    return make


def sample(caption, suffix=".json"):
    return shard(member("a.png", red_png()), member(f"a{suffix}", caption))


def with_size(size, kind=tarfile.REGTYPE):
    """A header that claims a size, in front of two good members."""
    info = tarfile.TarInfo("a.png")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT) + archive(member("b.png", red_png()))


def sparse():
    """A header of GNU's sparse files: a megabyte, of which one block is stored."""
    header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[124:136] = b"%011o\0" % 512
    header[386:410] = b"%011o\0" % 0 + b"%011o\0" % 512
    header[483:495] = b"%011o\0" % 2**20
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(512) + bytes(1024)


def chain(length):
    """Headers that each announce the next."""
    header, _ = member("x", kind=tarfile.XHDTYPE)
    return header.tobuf(tarfile.USTAR_FORMAT) * length + archive(member("a.png", red_png()))


def long_header():
    """A million digits, through which tarfile would look for a number a million times."""
    digits = b"1" * 2**20
    header, _ = member("x", digits, kind=tarfile.XHDTYPE)
    return header.tobuf(tarfile.USTAR_FORMAT) + digits + archive(member("a.png", red_png()))


def pax(**headers):
    return shard(member("a.png", red_png(), pax_headers=headers), format=tarfile.PAX_FORMAT)


def linked_shard(target):
    def make(folder):
        (folder / "s.tar").symlink_to(target)
        return folder / "s.tar"

    return make


def piped_shard(folder):
    os.mkfifo(folder / "s.tar")
    return folder / "s.tar"


# Lists


def listed(text, name="list.csv", encoding="utf-8"):
    """A maker of a list beside a.png."""

    def make(folder):
        (folder / "a.png").write_bytes(red_png())
        (folder / "sub").mkdir()
        data = text if isinstance(text, bytes) else text.encode(encoding)
        (folder / name).write_bytes(data)
        return folder / name

    return make


def listed_absolutely(folder):
    make = listed(f"{folder / 'a.png'}\n", "list.txt")
    return make(folder)


def piped_list(folder):
    os.mkfifo(folder / "list.txt")
    return folder / "list.txt"


def shows(name, make, picture=None, atol=0, **rest):
    return Kind(name, make, solid(RED) if picture is None else picture, atol=atol, **rest)


def tells(name, make, reason, **rest):
    return Kind(name, make, reason=reason, **rest)


ROWS_OF_LEVELS = [row.astype(">u2").tobytes() for row in LEVELS]
DAMAGE = "it is damaged, or of a kind that Pillow can't read"
NO_IMAGE = "it is empty or no AVIF, BMP, GIF"
NO_WHITE = "have no agreed white"
OUT_OF_FOLDER = "which is not in its folder"

IMAGES = (
    *(
        shows(f"EXIF orientation {tag}", file(rotated(tag), "a.jpg"), seen(), atol=60)
        for tag in range(1, 9)
    ),
    shows("broken EXIF", file(encoded(plain(), "PNG", exif=b"Exif\0\0nothing"))),
    shows("JPEG, progressive", file(encoded(plain(), "JPEG", progressive=True)), atol=3),
    shows("JPEG, grey", file(encoded(plain("L", 77), "JPEG")), solid([77] * 3), atol=1),
    shows("JPEG, CMYK", file(encoded(plain("CMYK", (0, 255, 255, 0)), "JPEG")), atol=3),
    shows("JPEG with an ICC profile", file(encoded(plain(), "JPEG", icc_profile=srgb())), atol=3),
    shows(
        "JPEG with bytes behind its end", file(encoded(plain(), "JPEG") + NOISE.tobytes()), atol=3
    ),
    shows("JPEG, two in one file (MPO)", file(frames("MPO")), atol=3),
    shows("PNG, grey of 16 bits", file(png(16, 12, 16, 0, ROWS_OF_LEVELS)), grey(LEVELS / 257)),
    shows(
        "PNG, grey of 16 bits, one level transparent",
        file(png(16, 12, 16, 0, ROWS_OF_LEVELS, chunk(b"tRNS", b"\0\0"))),
        grey(np.where(LEVELS == 0, 255, LEVELS / 257)),
    ),
    shows(
        "PNG, colour of 16 bits",
        file(cv2.imencode(".png", np.stack([LEVELS] * 3, axis=-1))[1].tobytes()),
        grey(LEVELS // 256),
    ),
    shows("PNG, 1 bit", file(encoded(plain("1", 1), "PNG")), solid(WHITE)),
    shows(
        "PNG, 2 bits",
        file(png(4, 1, 2, 0, [bytes([0b00011011])])),
        grey(np.array([[0, 85, 170, 255]])),
    ),
    shows("PNG, grey and alpha", file(encoded(plain("LA", (0, 128)), "PNG")), solid([127] * 3)),
    shows("PNG, alpha", file(encoded(plain("RGBA", (*RED, 128)), "PNG")), solid([255, 127, 127])),
    shows("PNG, palette", file(transparent_palette())),
    shows("PNG, palette, one transparent", file(transparent_palette(transparency=1)), solid(WHITE)),
    shows(
        "PNG, palette, one half transparent",
        file(transparent_palette(transparency=b"\xff\x80")),
        solid([255, 127, 127]),
    ),
    shows(
        "PNG, one colour transparent", file(encoded(plain(), "PNG", transparency=RED)), solid(WHITE)
    ),
    shows(
        "PNG, interlaced", file(png(1, 1, 8, 2, [bytes(RED)], interlaced=True)), solid(RED, 1, 1)
    ),
    shows("PNG called .jpg", file(red_png(), "a.jpg")),
    shows("GIF, animated", file(frames("GIF"))),
    shows("PNG, animated", file(frames("PNG"))),
    shows("WebP, animated", file(frames("WEBP", lossless=True))),
    shows(
        "GIF, a first frame that is smaller than the picture",
        file(gif_with_a_small_first_frame()),
        np.concatenate([np.r_[[[BLACK] * 3 + [WHITE] * 3] * 2], solid(WHITE, 2)]),
    ),
    shows(
        "WebP, alpha", file(encoded(plain("RGBA", (*RED, 0)), "WEBP", lossless=True)), solid(WHITE)
    ),
    shows("TIFF, several pages", file(frames("TIFF"))),
    shows("TIFF, CMYK", file(encoded(plain("CMYK", (0, 255, 255, 0)), "TIFF")), atol=3),
    shows("TIFF, grey of 16 bits", file(tiff(LEVELS)), grey(LEVELS / 257)),
    shows("TIFF, the other byte order", file(tiff(LEVELS, byteorder=">")), grey(LEVELS / 257)),
    shows(
        "TIFF, grey of 12 bits",
        file(tiff_of_12_bits(LEVELS >> 4)),
        grey((LEVELS >> 4) / 4095 * 255),
    ),
    shows(
        "TIFF, 16 bits, white is zero",
        file(tiff(LEVELS, photometric="miniswhite")),
        grey((65535 - LEVELS.astype(int)) / 257),
    ),
    shows(
        "TIFF, 8 bits, white is zero",
        file(tiff(np.full((4, 6), 55, np.uint8), photometric="miniswhite")),
        solid([200] * 3),
    ),
    shows("TIFF, fax", file(encoded(plain("1", 1), "TIFF", compression="group4")), solid(WHITE)),
    shows(
        "TIFF, larger than 4 GB by its kind", file(tiff(LEVELS, bigtiff=True)), grey(LEVELS / 257)
    ),
    shows("TIFF, in tiles", file(tiff(LEVELS, tile=(16, 16))), grey(LEVELS / 257)),
    shows("BMP", file(encoded(plain(), "BMP"))),
    shows("BMP, 1 bit", file(encoded(plain("1", 1), "BMP")), solid(WHITE)),
    shows("JPEG 2000", file(encoded(plain(), "JPEG2000"))),
    shows("AVIF", file(encoded(plain(), "AVIF", quality=100)), atol=8),
    shows("portable pixmap, in letters", file(b"P3 1 1 255 255 0 0\n"), solid(RED, 1, 1)),
    shows("one pixel", file(encoded(plain(size=(1, 1)), "PNG")), solid(RED, 1, 1)),
    shows("1 × 10,000", file(encoded(plain(size=(1, 10000)), "PNG")), solid(RED, 10000, 1)),
    shows("10,000 × 1", file(encoded(plain(size=(10000, 1)), "PNG")), solid(RED, 1, 10000)),
    tells("decompression bomb", file(bomb()), "more than 178,956,970 pixels, Pillow's guard"),
    tells("size without the pixels", file(png_claiming(2**16, 2**16)), "more than 178,956,970"),
    tells(
        "GIF that claims 65,535 × 65,535",
        file(b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(9) + bytes(2)),
        f"{NO_IMAGE}|more than 178,956,970|{DAMAGE}",
    ),
    tells(
        "PNG with a text of 64 MB in 64 kB",
        file(png_claiming(6, 1, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26))))),
        DAMAGE,
    ),
    tells("PNG of width 0", file(png_claiming(0, 4)), f"{NO_IMAGE}|{DAMAGE}"),
    tells(
        "TIFF, float", file(tiff(LEVELS.astype(np.float32))), f"floating-point numbers.*{NO_WHITE}"
    ),
    tells(
        "TIFF, float colour",
        file(tiff(np.ones((4, 6, 3), np.float32), photometric="rgb")),
        NO_IMAGE,
    ),
    tells("TIFF, 32 bits", file(tiff(LEVELS.astype(np.uint32))), f"32-bit integers.*{NO_WHITE}"),
    tells("TIFF, 16 bits with a sign", file(tiff(LEVELS.astype(np.int16))), f"a sign.*{NO_WHITE}"),
    tells(
        "TIFF, 8 bits with a sign", file(tiff(NOISE[..., 0].astype(np.int8))), f"a sign.*{NO_WHITE}"
    ),
    *(
        tells(
            f"{kind}, truncated",
            file(without_the_end(encoded(Image.fromarray(NOISE), kind))),
            DAMAGE,
        )
        for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000")
    ),
    tells("PNG, corrupt", file(damaged(encoded(Image.fromarray(NOISE), "PNG"))), DAMAGE),
    tells("no bytes", file(b""), NO_IMAGE),
    tells("zeros", file(bytes(10000)), NO_IMAGE),
    tells("a page of the web called .jpg", file(b"<!doctype html><p>404", "a.jpg"), NO_IMAGE),
    tells("SVG called .png", file(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), NO_IMAGE),
    tells(
        "PostScript, for which a program would be started",
        file(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"),
        NO_IMAGE,
    ),
    tells("ZIP called .png", file(b"PK\3\4" + bytes(100)), NO_IMAGE),
)

FOLDERS = (
    shows("name with quotes", named(b'it\'s "a" `b`.png')),
    shows("name with line breaks", named(b"a\nb\r\t.png")),
    shows("name of 255 bytes", named(b"a" * 251 + b".png")),
    shows("name that is no UTF-8", named(b"caf\xe9.png")),
    shows("name of markup", named(b"<script>alert(1)<&.png")),
    shows("name like an option", named(b"--help.png")),
    shows("name with spaces and signs", named("  a%20 \\ é \N{CAT FACE}*?.png".encode())),
    shows("name with an escape of terminals", named(b"\x1b[2J\x07.png")),
    shows("name in capitals", named(b"A.PNG")),
    shows("link to a picture", linked),
    shows("loop of folders", loop_of_folders),
    shows("folder called as an image", folder_called_as_an_image),
    tells(
        "link to itself", beside(lambda path: path.symlink_to(path)), "Too many levels of symbolic"
    ),
    tells("link to nothing", beside(lambda path: path.symlink_to("gone")), "there is no such file"),
    tells(
        "link to an endless device", beside(lambda path: path.symlink_to("/dev/zero")), "no file"
    ),
    tells("pipe", beside(os.mkfifo), "it is a pipe, a socket or a device, no file"),
    tells("socket", beside(bound), "it is a pipe, a socket or a device, no file"),
    tells("file that is gone", file(red_png()), "there is no such file", meanwhile=gone),
    tells("file that is another now", file(red_png()), "changed after", meanwhile=other),
    tells("file that is a pipe now", file(red_png()), "pipe", meanwhile=pipe_now),
    tells("file that is a folder now", file(red_png()), "it is a folder", meanwhile=folder_now),
    tells("file that is shorter now", file(red_png()), f"{NO_IMAGE}|{DAMAGE}", meanwhile=cut_now),
    tells("folder without images", lambda folder: folder, "holds no images"),
    tells("no folder", lambda folder: folder / "gone", "does not exist"),
    tells("name that is too long", lambda folder: folder / ("a" * 300), "does not exist"),
)

ARCHIVES = (
    shows("tar, plain", shard(member("a.png", red_png()))),
    shows("tar, name of 300 bytes", shard(member("a" * 296 + ".png", red_png()))),
    shows("tar, name with line breaks", shard(member("a\nb.png", red_png()))),
    shows(
        "tar, name that is no UTF-8",
        shard(member("caf\udce9.png", red_png()), errors="surrogateescape"),
    ),
    shows(
        "tar, of two files of one name the later",
        shard(member("a.png"), member("a.png", red_png())),
    ),
    shows(
        "tar, folder called as an image",
        shard(member("a.png", kind=tarfile.DIRTYPE), member("a.png/b.png", red_png())),
    ),
    shows("tar, caption", sample(b'{"caption": "a cat"}'), caption="a cat"),
    shows(
        "tar, caption with half a character", sample(rb'{"caption": "\ud800"}'), caption=r"\ud800"
    ),
    tells(
        "tar, member above its folder",
        shard(member("../a.png", red_png())),
        "leads out of a folder",
    ),
    tells("tar, member far above", shard(member("b/../../../a.png", red_png())), "leads out of"),
    tells("tar, absolute member", shard(member("/tmp/a.png", red_png())), "leads out of a folder"),
    tells(
        "tar, link",
        shard(member("a.png", kind=tarfile.SYMTYPE, linkname="/etc/hosts")),
        "as a link",
    ),
    tells(
        "tar, hard link", shard(member("a.png", kind=tarfile.LNKTYPE, linkname="b")), "as a link"
    ),
    tells(
        "tar, caption that is a link",
        shard(
            member("a.png", red_png()), member("a.txt", kind=tarfile.SYMTYPE, linkname="/etc/hosts")
        ),
        "holds 'a.txt' as a link",
    ),
    tells("tar, device", shard(member("a.png", kind=tarfile.CHRTYPE)), "as a pipe, a device"),
    tells("tar, pipe", shard(member("a.png", kind=tarfile.FIFOTYPE)), "as a pipe, a device"),
    tells("tar, sparse file", packed(sparse()), "as a sparse file"),
    tells(
        "tar, cut short",
        packed(archive(member("a.png", red_png()))[:1000]),
        "damaged or cut short|can't be read",
    ),
    tells(
        "tar, corrupt header",
        packed(damaged(archive(*[member(f"{n}.png", red_png()) for n in range(3)])[:4096])),
        "damaged or cut short",
    ),
    tells("tar, size of a billion billion", packed(with_size(2**60)), "can't be read as an"),
    tells("tar, size below zero, a loop", packed(with_size(-512)), "can't be read as an"),
    tells("tar, size below zero, far back", packed(with_size(-(2**40))), "can't be read as an"),
    tells("tar, size below zero by another header", pax(size="-1024"), "damaged or cut short"),
    tells(
        "tar, size that is no number",
        pax(size="many"),
        "can't be read as an|damaged|can't be read: ",
    ),
    tells(
        "tar, header of a billion billion",
        packed(with_size(2**60, tarfile.XHDTYPE)),
        "a header of 1,152,921,504",
    ),
    tells("tar, header of a million digits", packed(long_header()), "a header of 1,048,576 bytes"),
    tells("tar, ten thousand headers of headers", packed(chain(10000)), "can't be read as an"),
    shows("GIF in a tar", shard(member("a.gif", frames("GIF")))),
    tells(
        "tar, in another tar",
        shard(member("b.tar", archive(member("a.png", red_png())))),
        "holds no images; it has 1",
    ),
    tells("tar, empty", shard(), "holds no images; it has 0"),
    tells(
        "tar, compressed",
        packed(zlib.compress(archive(member("a.png", red_png())))),
        "can't be read as an uncompressed",
    ),
    tells("tar, endless device", linked_shard("/dev/zero"), "a pipe, a socket or a device"),
    tells("tar, pipe in its place", piped_shard, "a pipe, a socket or a device"),
    tells(
        "tar, caption of another encoding",
        sample("é".encode("latin-1"), ".txt"),
        "its caption is no UTF-8",
    ),
    tells("tar, caption that is no JSON", sample(b"{"), "its caption is no JSON"),
    tells("tar, caption nested for ever", sample(b"[" * 10**6), "its caption is no JSON"),
    tells(
        "tar, caption that is a number",
        sample(json.dumps({"caption": 5}).encode()),
        "no text but int",
    ),
    tells(
        "tar, another now",
        shard(member("a.png", red_png())),
        "changed after",
        meanwhile=lambda folder: os.utime(folder / "s.tar", (0, 0)),
    ),
    tells(
        "tar, gone",
        shard(member("a.png", red_png())),
        "there is no such file|No such file",
        meanwhile=lambda folder: (folder / "s.tar").unlink(),
    ),
    tells(
        "tar, pattern of too many",
        lambda folder: f"{folder}/{{0..99999999999}}.tar",
        "more than 1,000,000 shards",
    ),
)

LISTS = (
    shows("CSV, UTF-8 with its mark", listed("\ufeffpath,caption\na.png,é\n"), caption="é"),
    shows("CSV, UTF-16", listed("path\tcaption\na.png\té\n", encoding="utf-16"), caption="é"),
    shows(
        "CSV, UTF-16, the other byte order",
        listed(b"\xfe\xff" + "path\na.png\n".encode("utf-16-be")),
    ),
    shows(
        "CSV, semicolons", listed("path;caption\na.png;a cat, asleep\n"), caption="a cat, asleep"
    ),
    shows("CSV, tabs", listed("caption\tpath\na cat\ta.png\n"), caption="a cat"),
    shows("CSV, semicolons, no header", listed("a.png;1\n")),
    shows("CSV, line break in quotes", listed('path,caption\na.png,"a\nb"\n'), caption="a\nb"),
    shows("CSV, old line ends", listed("path,caption\ra.png,a cat\r"), caption="a cat"),
    shows("list, blank lines and line ends", listed("\r\n  a.png \r\n\r\n", "list.txt")),
    shows("list, absolute paths into its folder", listed_absolutely),
    shows("list, a way round in its folder", listed("sub/../a.png\n", "list.txt")),
    tells(
        "CSV, Latin-1",
        listed("path,caption\na.png,é\n", encoding="latin-1"),
        "is no UTF-8 text; save it",
    ),
    tells(
        "CSV, UTF-16 without its mark",
        listed("path\na.png\n", encoding="utf-16-le"),
        "is no UTF-8 text",
    ),
    tells("CSV, UTF-32", listed("path\na.png\n", encoding="utf-32"), "is no UTF-8 text"),
    tells(
        "CSV, column missing",
        listed("photo,caption\na.png,x\n"),
        "neither an image file nor a header",
    ),
    tells("CSV, cell missing", listed("caption,path\nx\n"), "has no path in line 2"),
    tells(
        "CSV, comma without quotes",
        listed("path,caption\na.png,a cat, asleep\n"),
        "has 3 cells in line 2 and 2",
    ),
    tells("CSV, quote without an end", listed('path,caption\na.png,"a cat\n'), "is no valid CSV"),
    tells("CSV, header alone", listed("path,caption\n"), "names no images"),
    tells(
        "CSV, cell of a megabyte",
        listed(f"path,caption\na.png,{'a' * 2**20}\n"),
        "is no valid CSV: field larger",
    ),
    tells("list, NUL in a name", listed("a\0.png\n", "list.txt"), "is no UTF-8 text .it holds NUL"),
    tells("list, folder", listed("sub\n", "list.txt"), "it is a folder"),
    tells("list, itself", listed("list.txt\n", "list.txt"), NO_IMAGE),
    tells("list, file that is missing", listed("gone.png\n", "list.txt"), "there is no such file"),
    tells(
        "list, path of 5,000 letters", listed("a" * 5000 + ".png", "list.txt"), "File name too long"
    ),
    tells("list, path above its folder", listed("../outside.png\n", "list.txt"), OUT_OF_FOLDER),
    tells("list, path far above", listed("sub/../../../../etc/hosts\n", "list.txt"), OUT_OF_FOLDER),
    tells("list, absolute path elsewhere", listed("/etc/hosts\n", "list.txt"), OUT_OF_FOLDER),
    tells("list, home", listed("~/outside.png\n", "list.txt"), OUT_OF_FOLDER),
    tells(
        "list, one image twice",
        listed("a.png\na.png\n", "list.txt"),
        "names the image 'a.png' 2 times",
    ),
    tells("list, page of the web", listed("<html>\n<p>404\n", "list.txt"), "there is no such file"),
    tells(
        "JSON lines, path above its folder",
        listed('{"file_name": "../outside.png"}\n', "list.jsonl"),
        OUT_OF_FOLDER,
    ),
    tells(
        "JSON lines, path above its folder by Windows' separators",
        listed('{"file_name": "..\\\\outside.png"}\n', "list.jsonl"),
        OUT_OF_FOLDER,
    ),
    tells(
        "JSON lines, path that is a number",
        listed('{"file_name": 5}\n', "list.jsonl"),
        "no paths in its column 'file_name' but int",
    ),
    tells(
        "JSON lines, a line that is none", listed("{\n", "list.jsonl"), "a line 1 that is no JSON"
    ),
    tells(
        "JSON lines, nested for ever", listed("[" * 10**6, "list.jsonl"), "a line 1 that is no JSON"
    ),
    tells("Parquet that is none", listed("PAR1", "list.parquet"), "no valid Parquet|pip install"),
    shows(
        "JSON lines, caption with half a character",
        listed('{"path": "a.png", "text": "\\ud800"}\n', "list.jsonl"),
        caption=r"\ud800",
    ),
    tells("list, pipe in its place", piped_list, "it is a pipe, a socket or a device"),
)

KINDS = (*IMAGES, *FOLDERS, *ARCHIVES, *LISTS)
