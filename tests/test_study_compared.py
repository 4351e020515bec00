"""The models that a run is compared with, in the order of training."""

from helpers import study
from helpers.study.compared import runs_in_training_order, untrained_model


def opened(parameters, **changes):
    run = study.open_run(**parameters | {"images": "scenes:2"} | changes)
    return run, [each.title for each in runs_in_training_order(run)]


def test_earlier_states_come_before_the_trained_model(parameters):
    run, titles = opened(parameters, compare=["embedded:1117", "embedded:304"])
    assert untrained_model(run) == "embedded:0"
    assert titles == [
        "embedded model, untrained",
        "embedded model at step 304",
        "embedded model at step 1117",
        "embedded model",
    ]
    *_, last = runs_in_training_order(run)
    assert last is run


def test_an_earlier_state_has_its_place_among_the_others(parameters):
    run, titles = opened(parameters, pretrained="304", compare=["embedded", "embedded:0"])
    assert titles == [
        "embedded model, untrained",
        "embedded model at step 304",
        "embedded model",
    ]
    assert list(runs_in_training_order(run))[1] is run


def test_the_untrained_network_is_its_own_baseline(parameters):
    run, titles = opened(parameters, model="ViT-B-32", compare=[])
    assert untrained_model(run) == "ViT-B-32"
    assert titles == ["ViT-B-32, untrained"]
