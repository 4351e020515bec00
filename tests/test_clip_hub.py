"""A model hub, stood in for by a server on this machine with the weights of a tiny CLIP.

It speaks as much of the hub's protocol as its client asks for, and can be out of order in the ways
in which hubs are.
"""

import hashlib
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
import open_clip
import pytest
from open_clip.pretrained import _PRETRAINED, _pcfg
from safetensors.torch import save_file

from helpers.checks import WorkbookError
from helpers.clip import hub, load, weights
from tests import tiny

COMMIT = "0123456789" * 4
REPOSITORY = "someone/tiny"
PIXELS = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
HALF = [0.5, 0.5, 0.5]


class Hub(ThreadingHTTPServer):
    """Serves files of one repository; `trouble` is what goes wrong with weights."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.trouble, self.asked = files, None, []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        path, trouble = urlsplit(self.path).path, self.server.trouble
        self.server.asked.append(path)
        if path == "/":
            return self.send(200, b"")
        if isinstance(trouble, tuple):
            status, code = trouble
            return self.send(status, b"", **{"X-Error-Code": code})
        if path.startswith("/api/"):
            return self.send(200, self.described(path), **{"Content-Type": "application/json"})
        name = path.rpartition("/")[2]
        if REPOSITORY not in path or name not in self.server.files:
            return self.send(404, b"", **{"X-Error-Code": "EntryNotFound"})
        data = self.server.files[name]
        if with_body and trouble == "cut":
            self.server.trouble = "silent"
        elif with_body and trouble == "silent":
            return None
        etag = hashlib.sha256(data).hexdigest()
        return self.send(200, data, cut=with_body and trouble == "cut", ETag=f'"{etag}"')

    def send(self, status, data, cut=False, **headers):
        self.send_response(status)
        headers |= {"X-Repo-Commit": COMMIT, "Content-Length": len(data)}
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)

    def described(self, path):
        files = [
            {"type": "file", "path": name, "oid": "0", "size": len(data)}
            for name, data in self.server.files.items()
        ]
        if "/tree/" in path:
            return json.dumps(files).encode()
        siblings = [{"rfilename": one["path"]} for one in files]
        about = {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}
        return json.dumps(about).encode()


@pytest.fixture(scope="module")
def reference():
    return tiny.random(open_clip.model.CLIP(**tiny.CONFIG, quick_gelu=True))


@pytest.fixture(scope="module")
def files(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "open_clip_model.safetensors"
    save_file(reference.state_dict(), path)
    own = {"model_cfg": tiny.CONFIG | {"quick_gelu": True}}
    own["preprocess_cfg"] = {"mean": HALF, "std": HALF}
    return {path.name: path.read_bytes(), "open_clip_config.json": json.dumps(own).encode()}


@pytest.fixture
def server(files, tmp_path, monkeypatch):
    with Hub(dict(files)) as server, tiny.registered(tmp_path, **{tiny.NAME: tiny.CONFIG}):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = {
            "constants.ENDPOINT": server.address,
            "constants.HUGGINGFACE_CO_URL_TEMPLATE": server.address
            + "/{repo_id}/resolve/{revision}/{filename}",
            "constants.HF_HUB_CACHE": str(tmp_path / "hub"),
            "hf_api.api.endpoint": server.address,
        }
        for name, value in at.items():
            monkeypatch.setattr(f"huggingface_hub.{name}", value)
        monkeypatch.setattr("time.sleep", lambda _: None)
        monkeypatch.setitem(
            _PRETRAINED, tiny.NAME, {"openai": _pcfg(hf_hub=f"{REPOSITORY}/", quick_gelu=True)}
        )
        hub.reachable.cache_clear()
        yield server
        server.shutdown()
    hub.reachable.cache_clear()


def refused(*given):
    with pytest.raises(WorkbookError) as told:
        load(*given, device="cpu")
    assert "\n" not in str(told.value)
    return str(told.value)


def test_the_first_run_downloads_and_the_second_reads_the_cache(server, reference, capsys):
    model = load(tiny.NAME, "openai", device="cpu")
    print(model.opened_as)
    told = capsys.readouterr().out
    assert "QuickGELU; pixels less 0.481 0.458 0.408, over 0.269 0.261 0.276" in told
    for part, expected in reference.state_dict().items():
        np.testing.assert_array_equal(model.clip.state_dict()[part], expected)
    assert (
        model.fingerprint == hashlib.sha256(server.files["open_clip_model.safetensors"]).hexdigest()
    )
    asked = len(server.asked)
    again = load(tiny.NAME, "openai", device="cpu")
    assert len(server.asked) == asked
    np.testing.assert_array_equal(again.encode(PIXELS).embedding, model.encode(PIXELS).embedding)


@pytest.mark.parametrize("name", [REPOSITORY, f"hf-hub:{REPOSITORY}"])
def test_a_model_with_its_own_configuration_comes_with_it(name, server):
    model = load(name, device="cpu")
    assert model.name == model.title == REPOSITORY
    assert "QuickGELU; pixels less 0.500 0.500 0.500, over 0.500" in model.opened_as
    asked = len(server.asked)
    load(name, device="cpu")
    assert len(server.asked) == asked


TROUBLES = {
    (403, "GatedRepo"): r"ask its owners for access.*\(the server answered 403\)",
    (401, "RepoNotFound"): r"or it needs a login.*hf auth login.*401",
    (404, "RepoNotFound"): r"none of this name: check the spelling.*404",
    (429, ""): "asked too often.*429",
    (503, ""): "out of order, which is not your fault.*503",
    "cut": "the download was cut off: try again",
}


@pytest.mark.parametrize("given", [(tiny.NAME, "openai"), (REPOSITORY,)])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_trouble_has_a_sentence_of_its_own(trouble, given, server):
    server.trouble = trouble
    sentence = refused(*given)
    assert re.search(TROUBLES[trouble], sentence), sentence
    others = [one for key, one in TROUBLES.items() if key != trouble]
    assert not any(re.search(one, sentence) for one in others)
    server.trouble = None
    load(*given, device="cpu")  # nothing of it stays behind


def test_without_a_hub_the_sentence_says_so(server):
    server.shutdown()
    server.server_close()
    hub.reachable.cache_clear()
    assert "no model hub can be reached" in refused(tiny.NAME, "openai")
    assert "no model hub can be reached" in refused(REPOSITORY)


def test_a_folder_in_the_cache_without_weights_is_completed(server, tmp_path):
    from huggingface_hub import hf_hub_download

    hf_hub_download(REPOSITORY, "open_clip_config.json")
    server.trouble = (503, "")
    assert "only in part on this machine" in refused(REPOSITORY)
    server.trouble = None
    assert load(REPOSITORY, device="cpu").mean == tuple(HALF)


def test_a_repository_without_weights_is_told(server):
    server.files = {"open_clip_config.json": b"{}", "flax_model.msgpack": b""}
    assert "has no weights that can be read here" in refused(REPOSITORY)


def test_a_damaged_file_of_the_right_size_is_not_taken_for_what_was_published(server):
    path = weights.locate(tiny.NAME, "openai").path
    data = bytearray(path.read_bytes())
    data[-1000:] = bytes(1000)
    path.resolve().write_bytes(data)
    sentence = refused(tiny.NAME, "openai")
    assert f"Delete {path.resolve()}, and it will be downloaded again" in sentence
    path.resolve().unlink()
    load(tiny.NAME, "openai", device="cpu")


def test_a_hash_is_taken_once_of_a_file_that_stays_as_it_is(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "LARGE", 10)
    own = weights._computed
    monkeypatch.setattr(weights, "_computed", lambda path: taken.append(path) or own(path))
    path = tmp_path / "weights.pt"

    def write(data, time):
        path.write_bytes(data)
        os.utime(path, (time, time))
        weights._of_state.cache_clear()
        return weights.sha256(path)

    first = write(b"a" * 20, 1000)
    assert write(b"a" * 20, 1000) == first
    assert len(taken) == 1
    assert write(b"b" * 20, 2000) != first
    assert len(taken) == 2
    for kept in (tmp_path / "cache").rglob("*.json"):
        kept.write_text("{")
    assert write(b"b" * 20, 2000) != first
    assert len(taken) == 3
