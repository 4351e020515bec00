"""What people have: every form of a data set that they post about, written here and then opened."""

import io
import json
import os
import sys
import tarfile
from dataclasses import dataclass, field

import pandas as pd
import pytest
from PIL import Image

from helpers.checks import WorkbookError
from helpers.data import UnreadableImage, decode, open_images
from helpers.runs.cli import main

CAPTION, LABEL = {"a": "a cat", "b": "a dog"}, {"a": "cat", "b": "dog"}
FIVE = tuple(f"caption {number}" for number in range(5))


@dataclass(frozen=True)
class Form:
    """A row of the table: what is written, and what must come of it."""

    name: str
    files: dict
    source: str = ""
    ids: list = field(default_factory=lambda: ["a.png", "b.png"])
    captions: list | None = None
    labels: list | None = None
    left_out: dict = field(default_factory=dict)
    error: str = ""


def picture(kind="PNG", color="red", **options):
    file = io.BytesIO()
    Image.new("RGB", (6, 4), color).save(file, kind, **options)
    return file.getvalue()


def moving():
    return picture("GIF", save_all=True, append_images=[Image.new("RGB", (6, 4), "blue")])


def shard(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def lines(*rows):
    return "\n".join(rows).encode() + b"\n"


def objects(*rows):
    return lines(*map(json.dumps, rows))


def samples(*names):
    return [
        member
        for name in names
        for member in ((f"{name}.jpg", picture("JPEG")), (f"{name}.txt", CAPTION[name].encode()))
    ]


PNG = picture()
TWO = {"a.png": PNG, "b.png": PNG}
ROWS = [{"file_name": f"{name}.png", "text": CAPTION[name], "label": LABEL[name]} for name in "ab"]
FIVE_ROWS = [f"a.png,{caption}" for caption in FIVE]
OF_IMG2DATASET = {"url": "https://example.org/a.jpg", "key": "a", "caption": "a cat", "width": 6}
BOTH = {"captions": [("a cat",), ("a dog",)], "labels": ["cat", "dog"]}

FORMS = (
    Form(
        "imagefolder, metadata.csv",
        TWO | {"metadata.csv": lines("file_name,text,label", "a.png,a cat,cat", "b.png,a dog,dog")},
        **BOTH,
    ),
    Form("imagefolder, metadata.jsonl", TWO | {"metadata.jsonl": objects(*ROWS)}, **BOTH),
    Form(
        "imagefolder, splits of classes",
        {"train/cat/1.png": PNG, "test/dog/2.png": PNG},
        ids=["test/dog/2.png", "train/cat/1.png"],
        labels=["dog", "cat"],
    ),
    Form(
        "imagefolder, metadata in each split",
        {
            "train/a.png": PNG,
            "train/metadata.csv": lines("file_name,label", "a.png,cat", "gone.png,dog"),
        },
        ids=["train/a.png"],
        labels=["cat"],
        left_out={"row of metadata without its file": (1, "train/gone.png")},
    ),
    Form(
        "the metadata.csv itself",
        TWO | {"metadata.csv": lines("file_name", "b.png")},
        "metadata.csv",
        ["b.png"],
    ),
    Form(
        "TSV of open_clip",
        TWO | {"x.tsv": lines("filepath\ttitle", "a.png\ta cat", "b.png\ta dog")},
        "x.tsv",
        captions=[("a cat",), ("a dog",)],
    ),
    Form(
        "CSV of open_clip",
        TWO | {"x.csv": lines("filepath,title", "a.png,a cat", "b.png,a dog")},
        "x.csv",
        captions=[("a cat",), ("a dog",)],
    ),
    Form("JSON lines", TWO | {"x.jsonl": objects(*ROWS)}, "x.jsonl", **BOTH),
    Form(
        "JSON lines with lists of captions",
        {"a.png": PNG, "x.jsonl": objects({"image": "a.png", "caption": FIVE})},
        "x.jsonl",
        ["a.png"],
        [FIVE],
    ),
    Form(
        "captions.txt of Flickr8k",
        {"a.png": PNG, "captions.txt": lines("image,caption", *FIVE_ROWS)},
        "captions.txt",
        ["a.png"],
        [FIVE],
    ),
    Form(
        "Flickr8k.token.txt",
        {"a.png": PNG, "x.token.txt": lines(*(f"a.png#{n}\t{one}" for n, one in enumerate(FIVE)))},
        "x.token.txt",
        ["a.png"],
        [FIVE],
    ),
    Form(
        "Flickr30k, five captions and bars",
        {
            "a.png": PNG,
            "results.csv": lines(
                "image_name| comment_number| comment",
                *(f"a.png| {n}| {one}" for n, one in enumerate(FIVE)),
            ),
        },
        "results.csv",
        ["a.png"],
        [FIVE],
    ),
    Form(
        "list with the separators of Windows",
        {"x/a.png": PNG, "x/b.png": PNG, "list.txt": lines("x\\a.png", "x\\b.png")},
        "list.txt",
        ["x\\a.png", "x\\b.png"],
    ),
    Form(
        "folder of img2dataset's shards",
        {
            "00000.tar": shard(*samples("a")),
            "00001.tar": shard(*samples("b")),
            "00000_stats.json": b"{}",
        },
        ids=["00000/a", "00001/b"],
        captions=[("a cat",), ("a dog",)],
        left_out={".json": (1, "00000_stats.json")},
    ),
    Form(
        "shards by a glob",
        {"x/0.tar": shard(*samples("a")), "x/1.tar": shard(*samples("b"))},
        "x/*.tar",
        ["0/a", "1/b"],
    ),
    Form(
        "img2dataset, files",
        {
            "00000/a.jpg": picture("JPEG"),
            "00000/a.txt": b"a cat",
            "00000/a.json": json.dumps(OF_IMG2DATASET).encode(),
        },
        ids=["00000/a.jpg"],
        captions=[("a cat",)],
    ),
    Form(
        "folders of numbers are no classes",
        {"00000/a.png": PNG, "00001/b.png": PNG},
        ids=["00000/a.png", "00001/b.png"],
        labels=[None, None],
    ),
    Form("one image file", TWO | {"a.txt": b"a cat"}, "a.png", ["a.png"], [("a cat",)]),
    Form(
        "GIF beside photographs",
        {"a.png": PNG, "b.gif": moving()},
        ids=["a.png", "b.gif"],
        left_out={"later frames, if any, of .gif": (1, "b.gif")},
    ),
    Form(
        "GIF in a tar",
        {"s.tar": shard(("a.png", PNG), ("b.gif", moving()))},
        "s.tar",
        ["s/a", "s/b"],
        left_out={"later frames, if any, of .gif": (1, "s/b.gif")},
    ),
    Form(
        "AVIF beside photographs",
        {"a.png": PNG, "b.avif": picture("AVIF")},
        ids=["a.png", "b.avif"],
    ),
    Form(
        "video and others beside photographs",
        TWO
        | {"c.mp4": b"x", "d.mp4": b"x", "notes.md": b"x", "LICENSE": b"x", ".hidden.mp4": b"x"},
        left_out={".mp4": (2, "c.mp4"), ".md": (1, "notes.md"), "no ending": (1, "LICENSE")},
    ),
    Form(
        "video in a tar",
        {"s.tar": shard(("a.png", PNG), ("b.mp4", b"x"), ("b.txt", b"x"))},
        "s.tar",
        ["s/a"],
        left_out={".mp4": (1, "s/b.mp4"), ".txt": (1, "s/b.txt")},
    ),
    Form(
        "two members of one key",
        {"s.tar": shard(("a.png", PNG), ("a.jpg", picture("JPEG")), ("a.txt", b"a cat"))},
        "s.tar",
        ["s/a.png", "s/a.jpg"],
        [("a cat",), ("a cat",)],
    ),
    Form(
        "doubled members of a tar",
        {"s.tar": shard(("a.png", b"x"), ("a.txt", b"x"), ("a.png", PNG), ("a.txt", b"a cat"))},
        "s.tar",
        ["s/a"],
        [("a cat",)],
        left_out={"member whose name comes again later": (2, "s/a.png")},
    ),
    Form(
        "dotted keys in a tar",
        {"s.tar": shard(*((f"v1.{n}", d) for n, d in samples("a", "b")))},
        "s.tar",
        ["s/v1.a.jpg", "s/v1.b.jpg"],
        [("a cat",), ("a dog",)],
    ),
    Form(
        "another name for a caption in a tar",
        {"s.tar": shard(("a.image.png", PNG), ("a.text.txt", b"a cat"))},
        "s.tar",
        ["s/a"],
        [("a cat",)],
    ),
    Form(
        "metadata in a tar",
        {"s.tar": shard(("a.png", PNG), ("a.json", json.dumps(ROWS[0]).encode()))},
        "s.tar",
        ["s/a"],
        [("a cat",)],
        ["cat"],
    ),
    Form(
        "text files beside images",
        TWO | {"a.txt": b"a cat", "b.txt": b"a dog"},
        captions=[("a cat",), ("a dog",)],
    ),
    Form(
        "a file beside an image that says nothing",
        {"a.png": PNG, "a.json": b"[1, 2]"},
        ids=["a.png"],
        captions=[()],
        left_out={".json beside an image that can't be read": (1, "a.json")},
    ),
    Form(
        "a list of URLs",
        {"urls.txt": lines("https://example.org/a.jpg", "https://example.org/b.jpg")},
        "urls.txt",
        error="names an address of the web.*fetch them with img2dataset",
    ),
    Form(
        "a table of URLs",
        {"urls.csv": lines("url,caption", "https://example.org/a.jpg,a cat")},
        "urls.csv",
        error="names addresses of the web.*fetch them with img2dataset",
    ),
    Form(
        "a folder without images",
        {"a.mp4": b"x", "b.mp4": b"x"},
        error="holds no images.* It has 2 × .mp4, the first a.mp4",
    ),
    Form(
        "metadata that lead out of the folder",
        TWO | {"metadata.csv": lines("file_name,label", "../a.png,cat", "/etc/hosts,dog")},
        labels=[None, None],
        left_out={"row of metadata without its file": (2, "../a.png")},
    ),
    Form(
        "metadata without a file's name",
        TWO | {"metadata.csv": lines("x,label", "1,cat")},
        left_out={
            "table that starts with 'x', neither an image file nor a header with a column path,"
            " filepath, file_name, filename, image_path, image_name, file, image or img": (
                1,
                "metadata.csv",
            )
        },
    ),
)


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_is_read(form, tmp_path):
    write(tmp_path, form.files)
    source = os.path.join(tmp_path, form.source)
    if form.error:
        with pytest.raises(WorkbookError, match=form.error):
            open_images(source)
        return
    images = open_images(source)
    assert images.ids == form.ids
    assert all(image.pixels.shape == (4, 6, 3) for image in images)
    assert {kind: tuple(left) for kind, left in images.left_out.items()} == form.left_out
    if form.captions is not None:
        assert [image.captions for image in images] == form.captions
    if form.labels is not None:
        assert [image.label for image in images] == form.labels


def test_a_moving_picture_is_its_first_frame(tmp_path):
    write(tmp_path, {"a.gif": moving()})
    assert (open_images(tmp_path)[0].pixels == (255, 0, 0)).all()


def test_columns_are_metadata(tmp_path):
    write(tmp_path, {"a.png": PNG, "x.csv": lines("Path,Group,title,text", "a.png,7,a cat,CAT")})
    image = open_images(tmp_path / "x.csv")[0]
    assert (image.caption, image.metadata) == ("a cat", {"group": "7", "text": "CAT"})


def test_what_a_list_says_is_in_the_fingerprint(tmp_path):
    write(tmp_path, {"a.png": PNG})
    prints = set()
    for cells in ("cat,x", "dog,x", "cat,y"):
        write(tmp_path, {"x.csv": lines("path,label,caption", f"a.png,{cells}")})
        prints.add(open_images(tmp_path / "x.csv").fingerprint)
    assert len(prints) == 3


def test_columns_of_too_many_values_part_no_images(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.data.images.MOST_GROUPS", 1)
    rows = lines("path,class,url", "a.png,cat,u", "b.png,dog,v")
    write(tmp_path, TWO | {"x.csv": rows})
    assert open_images(tmp_path / "x.csv").metadata().to_dict() == {
        "label": {"a.png": "cat", "b.png": "dog"}
    }


# Packages that may be missing


def test_parquet_of_img2dataset(tmp_path, monkeypatch):
    """With pandas' reader replaced, so that no package is needed; the next test needs it."""
    table = pd.DataFrame([OF_IMG2DATASET, OF_IMG2DATASET | {"key": "gone"}])
    monkeypatch.setattr(pd, "read_parquet", lambda file: table)
    write(tmp_path, {"00000.parquet": b"", "00000/a.jpg": picture("JPEG")})
    images = open_images(tmp_path / "00000.parquet")
    assert (images.ids, images[0].caption) == (["00000/a.jpg"], "a cat")
    assert images.left_out == {"key without an image": (1, "gone")}
    write(tmp_path, {"00000.tar": shard(*samples("a"))})
    assert open_images(tmp_path / "00000.parquet").ids == ["00000/a"]


def test_parquet_itself(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame(ROWS).to_parquet(tmp_path / "x.parquet")
    write(tmp_path, TWO)
    images = open_images(tmp_path / "x.parquet")
    assert [image.captions for image in images] == BOTH["captions"]
    assert [image.label for image in images] == BOTH["labels"]
    pd.DataFrame({"image": [{"bytes": PNG}]}).to_parquet(tmp_path / "y.parquet")
    with pytest.raises(WorkbookError, match="no paths in its column 'image' but dict"):
        open_images(tmp_path / "y.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(WorkbookError, match="is no valid Parquet file"):
        open_images(tmp_path / "x.parquet")


def test_parquet_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    write(tmp_path, {"x.parquet": b"PAR1"})
    with pytest.raises(WorkbookError, match="pip install pyarrow"):
        open_images(tmp_path / "x.parquet")


@pytest.mark.parametrize("extra", decode.EXTRAS, ids=lambda extra: extra.package)
def test_kinds_that_another_package_reads(extra, tmp_path):
    """A file of such a kind is read, or counted with what would read it."""
    name = f"b{extra.suffixes[0]}"
    if extra.suffixes[0] in decode.IMAGE_SUFFIXES:
        Image.new("RGB", (64, 64), "red").save(tmp_path / name)
        assert open_images(tmp_path)[0].pixels.shape == (64, 64, 3)
        return
    write(tmp_path, {"a.png": PNG, name: b"x"})
    hint = f"pip install {extra.package}"
    assert open_images(tmp_path).left_out == {f"{extra.suffixes[0]} ({hint})": (1, name)}
    with pytest.raises(WorkbookError, match=hint):
        open_images(tmp_path / name)


# Windows


def test_files_are_read_where_no_pipe_is_a_file(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_NONBLOCK")
    write(tmp_path, TWO | {"x.txt": lines("a.png"), "s.tar": shard(("a.png", PNG))})
    for source in ("", "x.txt", "s.tar"):
        assert open_images(tmp_path / source)[0].pixels.shape == (4, 6, 3)


# What is shown


def test_images_lists_what_is_left_out_and_the_groups(tmp_path, capsys):
    write(tmp_path, {"cat/1.png": PNG, "dog/2.png": PNG, "dog/3.png": PNG, "c.mp4": b"x"})
    write(tmp_path, {"dog/2.txt": b"a dog"})
    assert main(["images", f"[{tmp_path}]"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "left out: 1 × .mp4, the first c.mp4" in shown
    assert "label: cat (1), dog (2)" in shown
    assert "dog/2.png: 6×4, a dog" in shown


def test_a_broken_caption_of_a_tar_is_told_of_its_image(tmp_path):
    write(tmp_path, {"s.tar": shard(("a.png", PNG), ("a.json", b'{"caption": 5}'))})
    image = open_images(tmp_path / "s.tar")[0]
    for part in ("pixels", "captions", "metadata", "label"):
        with pytest.raises(UnreadableImage, match="its caption is no text but int"):
            getattr(image, part)
    assert open_images(tmp_path / "s.tar").metadata().empty
