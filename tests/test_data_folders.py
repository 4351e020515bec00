import os

import numpy as np
import pytest
from PIL import Image

from helpers.checks import WorkbookError
from helpers.data import UnreadableImage, open_images


def write(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), color).save(path)
    return path


def listed(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# Folders


def test_a_folder_is_read_recursively_in_a_stable_order(tmp_path):
    names = ["b/2.PNG", "a.jpg", "b/10.jpeg", "c d/é.webp", "b.bmp", "z.TIF", "z/y/x.tiff"]
    for name in names:
        write(tmp_path / name)
    for name in ["notes.txt", "b/2.json", "image.jpg.part"]:
        (tmp_path / name).write_text("no image")
    images = open_images(tmp_path)
    assert images.ids == sorted(names)
    assert all(image.pixels.shape == (4, 6, 3) for image in images)
    assert {image.caption for image in images} == {None}
    assert images[0].path == tmp_path / "a.jpg"


def test_hidden_files_and_folders_are_left_out(tmp_path):
    for name in ["a.png", ".hidden.png", ".thumbnails/a.png", "b/._a.png"]:
        write(tmp_path / name)
    assert open_images(tmp_path).ids == ["a.png"]


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    write(tmp_path / "mine" / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_images("~/mine").ids == ["a.png"]


def test_a_name_that_is_no_utf8_gets_a_valid_id(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        write(tmp_path / "a.png").rename(os.fsdecode(path))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    image = open_images(tmp_path)[0]
    assert image.id == "caf\\udce9.png"
    assert image.pixels.shape == (4, 6, 3)


def test_broken_files_are_listed_and_unreadable(tmp_path):
    write(tmp_path / "good.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.png").write_text("<html>")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    images = open_images(tmp_path)
    assert images.ids == ["dangling.png", "empty.jpg", "good.jpg", "page.png"]
    for image in images:
        if image.id != "good.jpg":
            with pytest.raises(UnreadableImage, match=f"Image '{image.id}' can't be read: "):
                image.pixels  # noqa: B018


def test_an_empty_folder(tmp_path):
    with pytest.raises(WorkbookError, match=r"holds no images; their names end in \.jpg, \.jpeg"):
        open_images(tmp_path)


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    # A test may run as root, who may list everything.
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(WorkbookError, match=r"can't be listed \(Permission denied\)"):
        open_images(tmp_path)


# Lists


def test_a_text_list_names_paths_relative_to_itself(tmp_path, monkeypatch):
    write(tmp_path / "photos" / "b.png", "blue")
    write(tmp_path / "a.png")
    absolute = write(tmp_path / "elsewhere" / "c.png")
    path = listed(tmp_path / "list.txt", f"photos/b.png\n\n  a.png \r\n{absolute}\n")
    monkeypatch.chdir("/")
    images = open_images(path)
    assert images.ids == ["photos/b.png", "a.png", str(absolute)]
    assert np.array_equal(images[0].pixels[0, 0], [0, 0, 255])
    assert all(image.pixels.shape == (4, 6, 3) for image in images)


def test_home_in_a_list(tmp_path, monkeypatch):
    write(tmp_path / "a.png")
    write(tmp_path / "~backup.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    images = open_images(listed(tmp_path / "list.txt", "~/a.png\n~backup.png\n"))
    assert [image.pixels.shape for image in images] == [(4, 6, 3)] * 2


@pytest.mark.parametrize("column", ["path", "Image", " filepath "])
def test_a_csv_list_with_a_header(tmp_path, column):
    path = listed(
        tmp_path / "list.csv",
        f'\ufeffid,{column},caption\n1,a.png,"a cat, asleep\non a mat"\n\n2,b.png,\n3,c.png\n',
    )
    images = open_images(path)
    assert images.ids == ["a.png", "b.png", "c.png"]
    assert [image.caption for image in images] == ["a cat, asleep\non a mat", None, None]


def test_a_csv_list_without_a_header(tmp_path):
    images = open_images(listed(tmp_path / "list.CSV", "a.png,ignored\nno-ending\n"))
    assert images.ids == ["a.png", "no-ending"]
    assert {image.caption for image in images} == {None}


def test_a_missing_file_in_a_list_is_an_unreadable_image(tmp_path):
    write(tmp_path / "a.png")
    images = open_images(listed(tmp_path / "list.txt", "a.png\ngone.png\n"))
    assert images[0].pixels.shape == (4, 6, 3)
    with pytest.raises(UnreadableImage, match=r"Image 'gone.png' .* there is no such file\."):
        images[1].pixels  # noqa: B018


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("list.txt", "\n \n", "names no images; write one path a line"),
        ("list.csv", "", "names no images"),
        ("list.csv", "path,caption\n", "names no images"),
        (
            "list.csv",
            "photo,caption\na.png,x\n",
            "starts with 'photo', neither an image file nor a",
        ),
        ("list.csv", "path,caption\n,x\n", "has no path in line 2; complete or remove the line"),
        ("list.csv", "caption,path\nx\n", "has no path in line 2"),
        ("list.txt", "a.png\na.png\n", "names the image 'a.png' 2 times; name every image once"),
    ],
)
def test_invalid_lists(tmp_path, name, text, sentence):
    with pytest.raises(WorkbookError) as caught:
        open_images(listed(tmp_path / name, text))
    assert sentence in str(caught.value)
    assert name in str(caught.value)


def test_lists_that_cannot_be_read(tmp_path):
    with pytest.raises(WorkbookError, match=r"can't be read: No such file"):
        open_images(tmp_path / "gone.csv")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkbookError, match=r"binary.txt' is no UTF-8 text; save it"):
        open_images(tmp_path / "binary.txt")
