from tests.tally import README, with_counts

pytest_plugins = ["pytester"]

PAGE = """# Page
| what was tried | in `make test` | lost or silent | in `make soak` | lost or silent |
|---|--:|--:|--:|--:|
| kills |  |  | 50 | 0 |

The end.
"""


def test_a_column_gets_its_counts_and_the_rest_stays():
    counts = {"kills": {"cases": 3, "lost": 0}, "bytes": {"cases": 1200, "lost": 1}}
    page = with_counts(PAGE, "test", counts)
    assert "| kills | 3 | 0 | 50 | 0 |\n\nThe end." in page
    assert "--:|\n| bytes | 1,200 | 1 |  |  |\n" in page
    assert with_counts(page, "test", counts) == page


def test_nothing_counted_changes_nothing():
    assert with_counts(PAGE, "soak", {}) == PAGE
    page = README.read_text(encoding="utf-8")
    assert with_counts(page, "test", {}) == page


def test_calls_add_up_over_the_session(pytester, monkeypatch):
    pytester.makeconftest("from tests.tally import *")
    pytester.makepyfile(
        "def test_one(tally): tally('kills', 2)\ndef test_two(tally): tally('kills', 1, lost=1)"
    )
    page = pytester.path / "README.md"
    page.write_text(PAGE)
    monkeypatch.setattr("tests.tally.README", page)
    monkeypatch.setattr("tests.tally._counts", {})
    pytester.runpytest_inprocess().assert_outcomes(passed=2)
    assert page.read_text() == PAGE
    monkeypatch.setattr("tests.tally._counts", {})
    pytester.runpytest_inprocess("--tally", "test").assert_outcomes(passed=2)
    assert "| kills | 3 | 1 | 50 | 0 |" in page.read_text()
