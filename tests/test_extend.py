"""Rows of one's own: changes, scores, labellers and sources, in a cell or a file."""

from shutil import copy

import numpy as np
import pytest

from helpers import extend
from helpers.analysis import labels
from helpers.analysis.scores import SCORES
from helpers.checks import WorkbookError
from helpers.data import CHANGES, open_images, views
from helpers.figures import style
from helpers.runs import open_run
from helpers.runs.identity import identity
from helpers.runs.parameters import from_profile
from helpers.runs.report.comparison import write_comparison, write_gathered
from helpers.runs.report.score_table import score_table
from helpers.runs.stored import StoredRun
from helpers.runs.verify import verify
from tests.registries import left_alone

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
    with left_alone():
        yield


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
    @extend.source
    def greys(number):
        for level in range(int(number or 2)):
            yield f"grey-{level}", lambda level=level: np.full((9, 9, 3), level, np.uint8)

    images = open_images("greys:3")
    assert images.ids == ["grey-0", "grey-1", "grey-2"]
    assert images[2].pixels.mean() == 2
    assert len(open_images("greys")) == 2
    with pytest.raises(WorkbookError, match="'photos' is a source already"):
        extend.source(_called("photos"))


@pytest.mark.parametrize("row", ["a.png", 3, ("a",), ("a", None), (3, list), ("a", list, *"bcd")])
def test_what_a_source_must_yield_is_told(row):
    @extend.source
    def wrong(rest):
        yield row

    with pytest.raises(WorkbookError, match=r"The source 'wrong' gave .*must yield pairs"):
        open_images("wrong")


def test_a_source_that_yields_nothing_at_all_is_told():
    @extend.source
    def forgotten(rest):
        return None

    with pytest.raises(WorkbookError, match="The source 'forgotten' gave None"):
        open_images("forgotten")


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
    assert run.parameters == run.parameters.replace()


def test_a_score_compares_what_there_is():
    with pytest.raises(WorkbookError, match="needs has no value 'colours'"):
        extend.score(needs="colours")


def forget(registry, *names):
    """Take rows out again, as for a process that never registered them."""
    for name in names:
        registry.pop(name)


def test_a_run_is_told_where_its_own_rows_are_not_registered(parameters, file, tmp_path):
    own = {"changes": ["posterized", "jpeg"], "extend": str(file), "out": str(tmp_path / "own")}
    open_run(**parameters | own).compute()
    plain = {"changes": ["jpeg"], "out": str(tmp_path / "plain")}
    open_run(**parameters | plain).compute()
    forget(CHANGES, "posterized")
    forget(SCORES, "light")
    summary = StoredRun(tmp_path / "own").summary
    assert {"light"} <= set(summary["score"])
    assert score_table(summary)["columns"][-1] == "Light"
    page, _ = write_comparison([tmp_path / "own", tmp_path / "plain"], tmp_path / "page.html")
    assert "Posterized" in page.read_text()


def test_a_change_of_a_cell_can_not_be_drawn_again_by_verify(parameters, tmp_path):
    extend.change(severity="nothing")(of_a_cell)
    given = parameters | {"changes": ["of_a_cell"], "out": str(tmp_path / "run")}
    open_run(**given).compute()
    forget(CHANGES, "of_a_cell")
    *_, images = verify(tmp_path / "run", 0.5)
    assert (images.count, images.wrong) == (0, [])
    assert "registered in a notebook" in images.note


def of_a_cell(pixels, severity, rng):
    """Upside down."""
    return pixels[::-1]


@pytest.mark.parametrize("gives", [1.0, [[1.0]]])
def test_a_score_of_another_shape_is_told(gives, parameters):
    def odd(original, changed):
        return gives

    extend.score(needs="pixels")(odd)
    with pytest.raises(WorkbookError, match=r"'odd' gave an array of shape .* \(9,\)"):
        open_run(**parameters | {"workers": 1}).compute()


def test_a_file_says_each_name_once(tmp_path):
    path = tmp_path / "twice.py"
    path.write_text(FILE + FILE.partition("\n\n\n")[2].partition("@score")[0])
    with pytest.raises(WorkbookError, match="two rows of the kind change called 'posterized'"):
        extend.load(str(path))


def test_runs_without_a_change_in_common_are_compared_score_by_score(parameters, tmp_path):
    for name in ("jpeg", "exposure"):
        open_run(**parameters | {"changes": [name], "out": str(tmp_path / name)}).compute()
    page, table = write_comparison([tmp_path / "jpeg", tmp_path / "exposure"], tmp_path / "c.html")
    assert "JPEG" in page.read_text()
    assert "difference" in table.read_text()


def test_a_run_without_scores_is_left_out_and_named(parameters, tmp_path, capsys):
    open_run(**parameters | {"out": str(tmp_path / "done")}).compute()
    (tmp_path / "begun").mkdir()
    copy(tmp_path / "done" / "run.json", tmp_path / "begun")
    write_gathered([tmp_path], tmp_path / "all.csv")
    assert f"Left out: {tmp_path / 'begun'} holds no scores yet." in capsys.readouterr().out
    with pytest.raises(WorkbookError, match="None of these runs"):
        write_gathered([tmp_path / "begun"], tmp_path / "none.csv")


def test_a_file_that_is_edited_during_a_run_changes_nothing_of_it(file, parameters):
    given = parameters | {"extend": str(file), "changes": ["posterized"], "workers": 1}
    whole = open_run(**given | {"out": f"{given['out']}-whole"}).scores()
    run = open_run(**given)

    def edit(*_):
        file.write_text(FILE.replace("step * step", "step"))

    engine = run._store.engine
    engine._write, write = lambda visits: (write(visits), edit())[0], engine._write
    assert run.scores().equals(whole)


@pytest.mark.parametrize("name", ["original", "study"])
def test_names_of_the_original_and_of_sets_are_taken(name):
    def rows(pixels, severity, rng):
        return pixels

    rows.__name__ = name
    with pytest.raises(WorkbookError, match=f"{name!r} names the original view or a set"):
        extend.change(severity="none")(rows)


def test_a_file_that_exits_says_so(tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit(3)")
    with pytest.raises(WorkbookError, match=r"mine\.py failed with SystemExit: 3"):
        extend.load(str(tmp_path / "mine.py"))


def test_a_file_names_each_source_once(tmp_path):
    row = "@source\ndef mine(rest):\n    yield from ()\n"
    (tmp_path / "mine.py").write_text(f"from helpers.extend import source\n{row}{row}")
    with pytest.raises(WorkbookError, match="two rows of the kind source called 'mine'"):
        extend.load(str(tmp_path / "mine.py"))


def test_a_file_may_register_again_what_a_cell_did(file):
    @extend.change(severity="none")
    def posterized(pixels, severity, rng):
        return pixels

    extend.load(str(file))
    assert CHANGES["posterized"].function is not posterized


def test_a_change_may_return_the_same_array_each_time():
    shared = np.empty((224, 224, 3), np.uint8)

    @extend.change(severity="none")
    def halved(pixels, severity, rng):
        shared[:] = pixels // 2
        return shared

    @extend.change(severity="none")
    def quartered(pixels, severity, rng):
        shared[:] = pixels // 4
        return shared

    drawn = views(np.full((224, 224, 3), 200, np.uint8), "a", changes=["halved", "quartered"])
    assert [drawn[name].max() for name in ("halved", "quartered")] == [100, 50]
