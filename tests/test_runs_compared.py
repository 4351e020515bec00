"""The models that a run is compared with, in the order of training."""

import numpy as np
from transformers import CLIPConfig, CLIPModel

from helpers.runs import open_run
from helpers.runs.variants import runs_in_training_order, untrained_model


def opened(parameters, **changes):
    run = open_run(**parameters | {"images": "scenes:2"} | changes)
    return run, [each.title for each in runs_in_training_order(run)]


def test_earlier_states_come_before_the_trained_model(parameters):
    run, titles = opened(parameters, compare=["embedded:1117", "embedded:304"])
    assert untrained_model(run.parameters.model) == "embedded:0"
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
    assert untrained_model(run.parameters.model) == "ViT-B-32"
    assert titles == ["ViT-B-32, untrained"]


def test_a_folder_of_transformers_has_an_untrained_network_too(parameters, tmp_path):
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2}
    vision = sizes | {"image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config=sizes, vision_config=vision, projection_dim=16)
    folder = tmp_path / "mine"
    CLIPModel(config).save_pretrained(folder)
    run, titles = opened(parameters, model=str(folder), compare=[])
    assert untrained_model(run.parameters.model) == f"{folder}:0"
    assert titles == ["mine, untrained", "mine"]
    first, last = runs_in_training_order(run)
    assert last is run
    assert first.folder.parent == run.folder / "models"
    assert not np.allclose(first.encodings()["embedding"], run.encodings()["embedding"], atol=1e-3)
