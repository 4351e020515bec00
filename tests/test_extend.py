"""Rows of one's own: changes, scores, labellers and sources, in a cell or a file."""

from dataclasses import replace

import numpy as np
import pytest

from helpers import extend
from helpers.analysis import labels
from helpers.analysis.scores import SCORES
from helpers.checks import WorkbookError
from helpers.data import CHANGES, open_images
from helpers.data.sources import OWN_SOURCES
from helpers.figures import style
from helpers.study import open_run
from helpers.study.parameters import from_profile
from helpers.study.places import identity

FILE = '''
from helpers.extend import change, score


@change(severity="grey levels per step, 32 times severity")
def posterized(pixels, severity, rng):
    """As few grey levels as a poster has."""
    step = max(1, round(32 * severity))
    return pixels // step * step


@score(needs="pixels", label="Light kept")
def light(original, changed):
    return 1 - abs(changed.mean((-3, -2, -1)) - original.mean((-3, -2, -1))) / 255
'''


@pytest.fixture(autouse=True)
def registries():
    """Leave the tables as they were."""
    tables = [CHANGES._rows, SCORES._rows, labels.LABELLERS._rows, OWN_SOURCES]
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)
    extend._last_read.clear()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_changes.py"
    path.write_text(FILE)
    return path


def test_a_files_rows_are_in_every_array(parameters, file):
    mine = {"changes": ["blur", "posterized"], "extend": str(file), "compare": []}
    run = open_run(**parameters | mine)
    scores = run.scores()
    assert run.changes == ("blur", "posterized")
    assert list(scores["augmentation"].values) == ["blur", "posterized"]
    assert list(run.encodings()["view"].values) == ["original", "blur", "posterized"]
    assert run.dissection()["shares"].sizes["augmentation"] == 2
    image = scores["image"].values[0]
    views = run.views(image)
    assert set(np.unique(views["posterized"])) <= set(range(0, 256, 32))
    expected = 1 - abs(views["posterized"].mean() - views["original"].mean()) / 255
    assert scores["light"].sel(image=image, augmentation="posterized") == pytest.approx(expected)


def test_the_identity_has_the_changes_and_the_files_hash(parameters, file):
    def of(**given):
        own = from_profile("quick", {"images": parameters["images"], **given})
        return identity(own, open_images(own.sources), "weights")

    plain = of()
    assert plain["own"] == {}
    mine = of(changes=["posterized"], extend=str(file))
    assert set(mine["own"]) == {"change posterized", "score light"}
    file.write_text(FILE.replace("32 * severity", "16 * severity"))
    edited = of(changes=["posterized"], extend=str(file))
    assert mine["own"] != edited["own"]
    assert of(changes="corruptions")["changes"] != plain["changes"]


def test_a_change_of_a_cell_is_known_by_its_code():
    @extend.change(severity="none", does="Nothing.", label="As it is")
    def same(pixels, severity, rng):
        return pixels

    first = CHANGES["same"]
    assert (first.label, first.parameters, first.scaled) == ("As it is", "Nothing.", "none")

    def other(pixels, severity, rng):
        return pixels.copy()

    other.__name__ = "same"
    extend.change(severity="none")(other)
    assert CHANGES["same"].origin != first.origin
    assert CHANGES["same"].label == style.label("same") == "Same"
    assert style.color("same") not in style.STUDY_COLORS.values()
    assert extend.fingerprint(["same"]) == {"change same": CHANGES["same"].origin}


@pytest.mark.parametrize("name", ["noise", "fog"])
def test_the_workbooks_own_rows_stay(name):
    def own(pixels, severity, rng):
        return pixels

    own.__name__ = name
    with pytest.raises(WorkbookError, match=f"There is a change '{name}' already"):
        extend.change(severity="none")(own)
    assert not CHANGES[name].origin


def test_a_labeller_names_heads_beside_the_property():
    @extend.labeller(label="First word")
    def first_word(texts):
        return texts[0].split()[0]

    assert labels.LABELLERS["first_word"].label == "First word"
    assert labels.LABELLERS["first_word"].function(["red circle", "blue"]) == "red"


def test_a_source_opens_by_its_name():
    @extend.source(description="N grey images")
    def greys(number):
        for level in range(int(number or 2)):
            yield f"grey-{level}", lambda level=level: np.full((9, 9, 3), level, np.uint8)

    images = open_images("greys:3")
    assert images.ids == ["grey-0", "grey-1", "grey-2"]
    assert images[2].pixels.mean() == 2
    assert len(open_images("greys")) == 2
    with pytest.raises(WorkbookError, match="'photos' is a source already"):
        extend.source(description="mine")(_called("photos"))


def _called(name):
    def listed(rest):
        return []

    listed.__name__ = name
    return listed


def test_a_file_that_fails_or_is_missing_says_so(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0")
    with pytest.raises(WorkbookError, match=r"broken\.py failed with ZeroDivisionError"):
        from_profile("quick", {"extend": str(path)})
    with pytest.raises(WorkbookError, match=r"extend has no value .*missing\.py"):
        from_profile("quick", {"extend": str(tmp_path / "missing.py")})


def test_a_score_registered_later_is_none_of_the_runs(parameters, file):
    run = open_run(**parameters | {"compare": []})

    @extend.score(needs="embedding")
    def first_feature(original, changed):
        return (changed - original)[..., 0]

    assert "first_feature" not in run.scores()
    assert run.parameters == replace(run.parameters)


def test_a_score_compares_what_there_is():
    with pytest.raises(WorkbookError, match="needs has no value 'colours'"):
        extend.score(needs="colours")
