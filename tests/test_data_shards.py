import io
import json
import pickle
import tarfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image

from helpers.checks import WorkbookError
from helpers.data import UnreadableImage, open_images


def png(level):
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


def pack(path, members, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def level(image):
    return int(image.pixels[0, 0, 0])


@pytest.fixture
def shards(tmp_path):
    for shard in range(3):
        members = []
        for sample in range(4):
            members.append((f"{sample:04}.png", png(10 * shard + sample)))
            members.append((f"{sample:04}.txt", f" sample {sample} of {shard}\n".encode()))
        pack(tmp_path / f"cc3m-{shard:05}.tar", members)
    return tmp_path


def test_a_brace_pattern_names_shards_in_order(shards):
    images = open_images(f"{shards}/cc3m-{{00000..00002}}.tar")
    assert len(images) == 12
    assert images.ids[:2] == ["cc3m-00000/0000", "cc3m-00000/0001"]
    assert images.ids[-1] == "cc3m-00002/0003"
    assert [level(image) for image in images] == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    assert images[5].caption == "sample 1 of 1"
    assert images[5].path == shards / "cc3m-00001.tar"


def test_ids_are_the_same_for_any_choice_of_shards(shards):
    one = open_images(shards / "cc3m-00001.tar")
    assert one.ids == [f"cc3m-00001/000{sample}" for sample in range(4)]
    assert set(one.ids) < set(open_images(f"{shards}/cc3m-0000{{2,1}}.tar").ids)


def test_shards_of_one_name_in_two_folders(tmp_path):
    for folder in ("train", "test"):
        pack(tmp_path / folder / "0.tar", [("a.png", png(1))])
    assert open_images(f"{tmp_path}/{{train,test}}/0.tar").ids == ["train/0/a", "test/0/a"]


def test_home_in_a_pattern(tmp_path, monkeypatch):
    pack(tmp_path / "0.tar", [("a.png", png(1))])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_images("~/{0..0}.tar").ids == ["0/a"]


def test_samples_as_webdataset_groups_them(tmp_path):
    members = [
        ("./v1.5/7.left.PNG", png(1)),
        ("./v1.5/7.right.png", png(2)),
        ("./v1.5/7.json", json.dumps({"caption": "two eyes", "width": 6}).encode()),
        ("8.jpg", png(3)),
        ("8.json", b"{}"),
        ("9.txt", b"a caption without an image"),
        ("._8.jpg", b"added by an operating system"),
    ]
    images = open_images(pack(tmp_path / "s.tar", members))
    assert images.ids == ["s/v1.5/7.left.PNG", "s/v1.5/7.right.png", "s/8"]
    assert [level(image) for image in images] == [1, 2, 3]
    assert [image.caption for image in images] == ["two eyes", "two eyes", None]


def test_of_two_members_of_one_name_the_later_is_taken(tmp_path):
    path = pack(tmp_path / "s.tar", [("a.png", png(1)), ("b.png", png(2))])
    pack(path, [("a.png", png(3))], mode="a")
    images = open_images(path)
    assert [level(image) for image in images] == [3, 2]


def test_long_names(tmp_path):
    name = "x" * 180 + "/" + "é" * 90
    assert open_images(pack(tmp_path / "s.tar", [(f"{name}.png", png(1))])).ids == [f"s/{name}"]


def test_many_workers_read_at_random(shards):
    images = list(open_images(f"{shards}/cc3m-{{00000..00002}}.tar"))
    order = np.random.default_rng(0).permutation(len(images) * 5) % len(images)
    expected = [level(images[index]) for index in order]
    shuffled = [images[index] for index in order]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(level, shuffled)) == expected
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as processes:
        assert list(processes.map(level, shuffled, chunksize=10)) == expected


def test_images_survive_pickling(shards):
    image = pickle.loads(pickle.dumps(open_images(shards / "cc3m-00002.tar")[1]))
    assert (image.id, level(image), image.caption) == ("cc3m-00002/0001", 21, "sample 1 of 2")


def test_broken_members_are_unreadable_images(tmp_path):
    members = [
        ("a.png", png(1)[:40]),
        ("b.png", b""),
        ("c.png", png(1)),
        ("c.json", b"{"),
        ("d.png", png(1)),
        ("d.json", b"[]"),
        ("e.png", png(1)),
        ("e.txt", b"\xff"),
    ]
    images = open_images(pack(tmp_path / "s.tar", members))
    for image in images[:2]:
        with pytest.raises(UnreadableImage, match=f"Image '{image.id}' can't be read"):
            image.pixels  # noqa: B018
    for image in images[2:]:
        for part in ("pixels", "caption"):
            with pytest.raises(UnreadableImage, match=f"Image '{image.id}' .* its caption is no"):
                getattr(image, part)


# Shards that can't be listed


def error(source):
    with pytest.raises(WorkbookError) as caught:
        open_images(source)
    return str(caught.value)


def test_missing_shards(shards):
    assert "(2 of the 4 that " in error(f"{shards}/cc3m-0000{{1..4}}.tar")
    assert f"Shard '{shards}/gone.tar' is missing" in error(shards / "gone.tar")


def test_an_invalid_pattern(tmp_path):
    assert "Shard pattern" in error(f"{tmp_path}/cc3m-{{0..1.tar")


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100], ids=["empty", "text"])
def test_no_tar(tmp_path, data):
    path = tmp_path / "s.tar"
    path.write_bytes(data)
    assert "can't be read as an uncompressed tar file" in error(path)


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_compressed(tmp_path, ending):
    path = pack(tmp_path / f"s.{ending}", [("a.png", png(1))], mode="w:gz")
    assert "decompress it or download it again" in error(path)


def test_no_images(tmp_path):
    assert "holds no images; it has 0 members" in error(pack(tmp_path / "s.tar", []))
    assert "it has 1 members" in error(pack(tmp_path / "t.tar", [("a.txt", b"x")]))


def test_a_shard_cut_short_anywhere(tmp_path):
    whole = pack(tmp_path / "s.tar", [(f"{name}.png", png(1)) for name in "abc"]).read_bytes()
    # Each member has a block of 512 bytes for its header and one for its data; two end the file.
    for length in (100, 512, 700, 1024, 1300, 1536, 1800, 3000, 3072):
        path = tmp_path / f"{length}.tar"
        path.write_bytes(whole[:length])
        assert f"{length}.tar" in error(path)


def test_a_damaged_header_does_not_hide_what_follows(tmp_path):
    path = pack(tmp_path / "s.tar", [(f"{name}.png", png(1)) for name in "abc"])
    data = bytearray(path.read_bytes())
    data[1024:1100] = b"\xff" * 76
    path.write_bytes(data)
    assert "damaged or cut short at byte 1,024" in error(path)


def test_links(tmp_path):
    path = pack(tmp_path / "s.tar", [("a.png", png(1))])
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "a.png"
        archive.addfile(link)
    assert "holds 'b.png' as a link" in error(path)
