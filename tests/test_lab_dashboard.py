"""The form and the dashboard of the index, without a browser."""

import asyncio

import pytest

from helpers.checks import WorkbookError
from helpers.lab.dashboard import Dashboard
from helpers.lab.form import Form
from helpers.runs import background, open_run, paths
from helpers.runs.parameters import from_profile, profiles
from helpers.runs.paths import absolute_paths


@pytest.mark.parametrize("profile", profiles())
def test_a_form_as_it_is_means_its_profile(profile):
    form = Form()
    form.controls["profile"].value = profile
    form.controls["images"].value = "photos"
    assert form.parameters() == absolute_paths(from_profile(profile, {"images": "photos"}))


def test_lines_are_parameters_as_on_the_command_line():
    form = Form()
    form.controls["images"].value = "[photos, scenes:5]"
    form.controls["limit"].value = " 3 "
    form.controls["texts"].value = ""
    form.controls["others"].value = "-p seed 4\ncompare [embedded:304]\n"
    given = form.parameters()
    assert (given.sources, given.limit, given.texts) == (["photos", "scenes:5"], 3, None)
    assert (given.seed, given.compare) == (4, ["embedded:304"])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("limit", "many", "limit has no value 'many'"),
        ("changes", "nois", "Did you mean 'noise'"),
        ("images", "", "images has no value None"),
        ("others", "seed", "'seed 3'"),
        ("others", "sead 3", "Did you mean 'seed'"),
    ],
)
def test_what_is_no_parameter_is_told(name, text, told):
    form = Form()
    form.controls[name].value = text
    with pytest.raises(WorkbookError, match=told):
        form.parameters()


def test_the_desk_shows_runs_and_what_can_be_done_with_them(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    dashboard = Dashboard()
    assert "no run on this machine" in dashboard._table.value
    run = open_run(**parameters)
    run.compute()
    assert not dashboard.look()
    assert dashboard.runs.value == run.folder
    assert "<td>unfinished</td><td>7 of 7</td>" in dashboard._table.value
    assert "images: 7 of 7" in dashboard._steps.value
    assert dashboard.buttons["Stop"].disabled
    assert not dashboard.buttons["Go on"].disabled


def test_a_button_tells_what_is_wrong_and_watches_what_it_started(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    dashboard = Dashboard()

    async def press():
        dashboard.form.controls["images"].value = "/nowhere"
        dashboard.buttons["Start"].click()
        assert 'role="alert"' in dashboard._message.value and "/nowhere" in dashboard._message.value
        monkeypatch.setattr(background, "start", lambda parameters: None)
        dashboard.form.controls["images"].value = "photos"
        dashboard.buttons["Start"].click()
        assert dashboard._message.value == ""
        await dashboard._watching

    asyncio.run(press())
