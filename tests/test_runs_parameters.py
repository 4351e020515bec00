from pathlib import Path

import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.clip.names import split_model
from helpers.runs.parameters import (
    DEFAULT_PROFILE,
    ROOT,
    Parameters,
    as_argument,
    described,
    from_profile,
    parse_value,
    profile_of,
    profiles,
)
from helpers.runs.paths import plain_models


@pytest.mark.parametrize(
    "text, value",
    [
        ("limit 5", 5),
        ("limit 5.5", "5.5"),
        ("limit null", None),
        ("severity 1e-1", 0.1),
        ("pretrained None", None),
        ("pretrained yes", "yes"),
        ("images photos", "photos"),
        ("images scenes:5", "scenes:5"),
        ("images [photos, 'scenes:5']", ["photos", "scenes:5"]),
        ("images shards-{0..3}.tar", "shards-{0..3}.tar"),
        ("images 2024", "2024"),
        ("images [unclosed", "[unclosed"),
        ("images [2024, photos]", ["2024", "photos"]),
        ("images [photos, x/{0..1}.tar, y/{a,b}.tar]", ["photos", "x/{0..1}.tar", "y/{a,b}.tar"]),
        ("nonsense 5", "5"),
        ("layers 2", 2),
        ("compare [ViT-B-32:openai, 'embedded:304']", ["ViT-B-32:openai", "embedded:304"]),
        ("compare_fully true", True),
        ("texts 2024", "2024"),
    ],
)
def test_values_are_read_as_their_parameter_needs(text, value):
    assert parse_value(*text.split(" ", 1)) == value


def test_what_papermill_makes_of_values_is_as_good():
    given = from_profile("quick", {"images": 2024, "pretrained": 500})
    assert (given.images, given.pretrained) == ("2024", "500")
    assert from_profile("quick", {"images": "[photos, 'a']"}).sources == ["photos", "a"]


def test_a_profile_takes_what_it_leaves_out_from_quick():
    paper = from_profile("paper", {"images": "photos"})
    quick = from_profile("quick", {})
    assert (paper.model, paper.pretrained) == ("ViT-B-32-quickgelu", "openai")
    assert paper.batch_size == quick.batch_size


def test_a_number_for_a_text_is_the_text_as_papermill_reads_it():
    assert from_profile("quick", {"pretrained": 500}).pretrained == "500"


def test_models_are_named_in_one_way():
    given = {
        "model": "ViT-B/32",
        "pretrained": "OpenAI",
        "compare": ["vit_b_16:openai", "embedded"],
    }
    plain = plain_models(from_profile("quick", given))
    assert (plain.model, plain.pretrained) == ("ViT-B-32", "openai")
    assert plain.compare == ["ViT-B-16:openai", "embedded"]


def test_profiles_are_known_by_their_results():
    assert profile_of(from_profile("quick", {"batch_size": 3, "out": "x"})) == "quick"
    assert profile_of(from_profile("quick", {"seed": 3})) is None


@pytest.mark.parametrize(
    "text, model",
    [
        ("ViT-B-32:openai", ("ViT-B-32", "openai")),
        ("ViT-B-32:/a:b.pt", ("ViT-B-32", "/a:b.pt")),
        ("hf-hub:owner/model", ("hf-hub:owner/model", None)),
        ("hf-hub:owner/model:0", ("hf-hub:owner/model", "0")),
        ("embedded", ("embedded", None)),
    ],
)
def test_compared_models_are_split_at_the_first_colon(text, model):
    assert split_model(text) == model


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_every_profile_is_valid(profile):
    from_profile(profile, {"images": "photos"})


def test_the_default_profile_says_what_each_parameter_is():
    lines = profiles()[DEFAULT_PROFILE].read_text().splitlines()[-len(Parameters.model_fields) :]
    comments = {line.partition(":")[0]: line.partition("  # ")[2] for line in lines}
    assert comments == {name: described(name)["hint"] for name in Parameters.model_fields}


def test_the_readme_lists_the_parameters_in_their_words():
    readme = (ROOT / "README.md").read_text()
    for name, value in from_profile(DEFAULT_PROFILE, {}):
        default = "None" if value is None else f"`{as_argument(value)}`"
        row = f"| `{name}` | {default} | {Parameters.model_fields[name].description} |"
        assert row in readme.splitlines(), row


@pytest.mark.parametrize(
    "profile, overrides, message",
    [
        ("quik", {}, "Did you mean 'quick'"),
        ("quick", {"sede": 1}, "Did you mean 'seed'"),
        ("quick", {"limit": -1}, "limit has no value -1"),
        ("quick", {"limit": 0}, "limit has no value 0"),
        ("quick", {"limit": 1.5}, "whole number"),
        ("quick", {"seed": "x"}, "seed has no value 'x'"),
        ("quick", {"severity": -0.1}, "severity has no value -0.1"),
        ("quick", {"severity": float("nan")}, "severity"),
        ("quick", {"batch_size": 0}, "batch_size"),
        ("quick", {"workers": True}, "workers"),
        ("quick", {"cluster": "local:0"}, "cluster has no value 'local:0'"),
        ("quick", {"cluster": 2}, "local:N, tcp://host:port"),
        ("paper", {}, "images has no value None"),
        ("quick", {"images": ["photos", None]}, "images has no value"),
        ("quick", {"images": []}, "images has no value"),
        ("quick", {"out": 5.5}, "out has no value 5.5"),
        ("quick", {"pretrained": True}, "pretrained has no value True"),
        ("quick", {"severity": 5.1}, "from 0 to 5"),
        ("quick", {"layers": 0}, "layers has no value 0"),
        ("quick", {"compare": "embedded:304"}, "a list of models"),
        ("quick", {"compare": [":304"]}, "a list of models"),
        ("quick", {"compare_fully": "maybe"}, "true or false"),
        ("quick", {"texts": []}, r"texts has no value \[\]"),
        ("quick", {"texts": [5]}, r"texts has no value \[5\]"),
    ],
)
def test_bad_parameters_are_told(profile, overrides, message):
    with pytest.raises(WorkbookError, match=message):
        from_profile(profile, overrides)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("images", Path("~/photos"), "~/photos"),
        ("images", ("photos", Path("more")), ["photos", "more"]),
        ("limit", np.int64(3), 3),
        ("extras", np.False_, False),
        ("out", Path("/tmp/run"), "/tmp/run"),
    ],
)
def test_what_code_naturally_gives_is_taken(name, given, kept):
    assert getattr(from_profile("quick", {name: given}), name) == kept


def test_parameters_left_out_are_named():
    with pytest.raises(WorkbookError, match=r"limit, seed.* have no value"):
        Parameters(images="photos")
