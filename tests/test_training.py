"""How the embedded models are trained and measured."""

import dataclasses
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from helpers.clip.embedded import NAMES, RECIPES, folder
from helpers.clip.embedded.weights import build
from helpers.data import scenes
from helpers.training import captioned, evaluate, examples, losses, taught, train, trainer
from helpers.training.settings import Settings, Stage

TINY = {
    name: dataclasses.replace(
        Settings.read(name),
        steps=4,
        pictures_per_step=8,
        photographs_per_step=2,
        scenes_in_memory=12,
        fresh_scenes_per_step=6,
        curriculum=(Stage(None, easy=0.0, single=0.5),),
        warm_up=1,
        checkpoints=[2],
    )
    for name in RECIPES
}

SECOND = pytest.param("embedded", marks=pytest.mark.soak)


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """Batches are drawn where the tests run, whose memory a fork would hold twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "DRAWING", 0)
        yield


@pytest.fixture(scope="module")
def batch():
    return next(iter(taught.TaughtBatches(TINY["embedded"])))


@pytest.fixture(scope="module", params=["embedded-clip", SECOND])
def trained(request, tmp_path_factory):
    kept = tmp_path_factory.mktemp("training")
    return train.train(TINY[request.param], kept), kept


@pytest.fixture(scope="module", params=NAMES)
def evaluation(request):
    return request.param, pd.read_csv(folder(request.param) / "evaluation.csv")


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return functional.normalize(torch.randn(9, 5, generator=generator), dim=-1)


class TestLosses:
    def test_one_caption_a_picture_is_clips_own_loss(self, features):
        images, texts, scale = features[:3], features[3:6], torch.tensor(7.0)
        logits = scale * images @ texts.T
        own = torch.arange(3)
        expected = functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)
        ours = losses.contrastive_loss(images, texts, torch.eye(3, dtype=torch.bool), scale)
        torch.testing.assert_close(ours, expected / 2)

    def test_a_caption_that_is_also_true_elsewhere_is_no_negative(self, features):
        images, texts, scale = features[:2], features[3:5], torch.tensor(7.0)
        everything = torch.ones(2, 2, dtype=torch.bool)
        assert losses.contrastive_loss(images, texts, everything, scale).item() == 0

    def test_one_value_a_picture_is_cross_entropy(self, features):
        images, prompts, scale = features[:4], features[4:], torch.tensor(7.0)
        values = torch.tensor([0, 3, 2, 3])
        expected = functional.cross_entropy(scale * images @ prompts.T, values)
        present = functional.one_hot(values, 5).bool()
        torch.testing.assert_close(losses.property_loss(images, prompts, present, scale), expected)

    def test_values_present_do_not_compete(self, features):
        images, prompts, scale = features[:1], features[4:7], torch.tensor(7.0)
        present = torch.tensor([[True, True, False]])
        logits = (scale * images @ prompts.T)[0]
        expected = [functional.softplus(logits[2] - logits[n]) for n in (0, 1)]
        ours = losses.property_loss(images, prompts, present, scale)
        torch.testing.assert_close(ours, sum(expected) / 2)

    def test_pictures_without_a_value_have_no_part(self, features):
        present = torch.zeros(4, 5, dtype=torch.bool)
        loss = losses.property_loss(features[:4], features[4:], present, torch.tensor(7.0))
        assert loss.item() == 0


class TestBatches:
    def test_shapes(self, batch):
        assert batch["pixels"].shape == (8, 3, 224, 224)
        assert batch["captions"].shape == (16, 24)
        assert batch["truth"].shape == (16, 8)
        for name, one in scenes.PROPERTIES.items():
            prompts, present = batch["questions"][name]
            assert prompts.shape == (len(one.values), 24)
            assert present.shape == (8, len(one.values))

    def test_captions_are_true_of_their_own_picture(self, batch):
        own = torch.arange(16) % 8
        assert batch["truth"][torch.arange(16), own].all()
        assert not batch["truth"].all()

    @pytest.mark.parametrize(
        "kind", [taught.TaughtBatches, captioned.CaptionedBatches], ids=["taught", "captioned"]
    )
    def test_a_batch_depends_on_the_step_alone(self, kind):
        settings = TINY["embedded" if kind is taught.TaughtBatches else "embedded-clip"]
        third = list(kind(settings))[2]
        late = next(iter(kind(settings, start=2)))
        for name in ("pixels", "captions"):
            torch.testing.assert_close(late[name], third[name])

    def test_the_curriculum_goes_from_easy_to_everything(self):
        stages = (Stage(10, easy=1.0, single=0.0), Stage(None, easy=0.0, single=0.0))
        settings = dataclasses.replace(TINY["embedded"], curriculum=stages)
        drawn = taught.TaughtBatches(settings)
        early, late = ([drawn.draw(i) for i in at] for at in ((0, 9), (10, 40)))
        assert all(
            examples.EASY.items() <= {**one.scene, **one.objects[0]}.items() for one in early
        )
        assert {settings.stage(9), settings.stage(10)} == set(stages)
        assert not all(
            examples.EASY.items() <= {**one.scene, **one.objects[0]}.items() for one in late
        )

    def test_contrast_sets_stay_together(self):
        drawn = captioned.CaptionedBatches(TINY["embedded-clip"])
        window = {index: [f"{index}.{member}" for member in range(6)] for index in range(4)}
        chosen = drawn.choose(window, 0, 15, np.random.default_rng(0))
        sets = [one.split(".")[0] for one in chosen]
        assert len(chosen) == 15
        assert sorted(map(sets.count, set(sets))) == [3, 6, 6]

    def test_a_patch_shows_the_object_that_covers_most_of_it(self):
        masks = np.zeros((2, 224, 224), bool)
        masks[0, :32, :40], masks[1, :32, 40:64] = True, True
        owners = examples.patch_owners(masks)
        assert owners[0, :3].tolist() == [0, 1, -1]
        assert (owners[1:] == -1).all()

    def test_patches_show_values_of_objects_in_the_picture(self, batch):
        for name, shown in batch["patches"].items():
            _, present = batch["questions"][name]
            assert shown.shape == (8, 49, present.shape[1])
            assert shown.sum(2).max() == 1
            assert not (shown.any(1) & ~present).any()
            assert shown.any()

    def test_mirroring_moves_objects(self):
        pixels, owners = np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.eye(7, dtype=int)
        item = {"position": "top left", "x": 20}
        example = examples.Example(pixels, {}, (item,), owners=owners)
        mirrored = examples.mirror(example)
        np.testing.assert_array_equal(mirrored.owners, owners[::-1])
        assert mirrored.objects[0] == {"position": "top right", "x": 203}
        np.testing.assert_array_equal(mirrored.pixels[:, 0], example.pixels[:, 1])

    def test_pairs_leave_out_what_is_held_out(self):
        pairs = {
            (claims["shape"], claims["colour"]) for claims in taught.pair_values(taught.PAIRS[0])
        }
        assert len(pairs) == 60 - len(scenes.HELD_OUT_COMBINATIONS)
        assert not pairs & scenes.HELD_OUT_COMBINATIONS

    def test_held_out_crops_are_elsewhere(self):
        """Crops of a picture of its own coordinates tell where they lie."""
        y, x = np.mgrid[:1000, :1000].astype(np.float32)
        picture = np.stack([y, x, y], 2)

        rng = np.random.default_rng(0)
        for held_out in (False, True):
            places = []
            for _ in range(40):
                cut = examples.crop(picture, rng, held_out)[..., :2]
                first, last = cut[0, 0], cut[-1, -1]
                places.append(((first + last) / 2 - 500) / (500 - (last - first) / 2))
            lower_right = [min(where) > 0.15 for where in places]
            assert all(lower_right) if held_out else not any(lower_right)


class TestTraining:
    def test_it_leaves_log_checkpoints_and_weights(self, trained):
        whole, kept = trained
        assert whole.step == 4
        assert (kept / "checkpoints/2.safetensors").exists()
        exported = load_file(kept / "weights.safetensors")
        average = whole.average.module.state_dict()
        assert set(exported) == {*average, "token_embedding.rows"}

    def test_it_goes_on_where_it_was_cut_off(self, trained, tmp_path):
        whole, _ = trained
        half = trainer.Trainer(whole.settings, "cpu")
        for batch in islice(train.batches(whole.settings, 0, half.device), 2):
            half.update(batch)
        half.save(tmp_path / "state.pt")
        resumed = train.train(whole.settings, tmp_path)
        assert resumed.step == whole.step
        for name, value in whole.model.state_dict().items():
            torch.testing.assert_close(resumed.model.state_dict()[name], value, atol=1e-5, rtol=0)

    def test_learning_rates_rise_hold_and_fall(self):
        settings = dataclasses.replace(TINY["embedded"], steps=100, warm_up=10, decay_share=0.5)
        assert settings.rate(0) == pytest.approx(0.1)
        assert settings.rate(30) == 1
        assert settings.rate(75) == pytest.approx(0.5)

    def test_a_table_forgets_what_comes_after_the_step(self, tmp_path):
        table = train.Table(tmp_path / "log.csv", 0)
        for step in (1, 2, 3):
            table.add({"step": step, "loss": 0.5})
        train.Table(tmp_path / "log.csv", 2).add({"step": 3, "loss": 0.25})
        rows = pd.read_csv(tmp_path / "log.csv")
        assert rows["step"].tolist() == [1, 2, 3]
        assert rows["loss"].tolist() == [0.5, 0.5, 0.25]


class TestEvaluation:
    def test_the_model_card_quotes_what_was_measured(self, evaluation):
        name, table = evaluation
        assert evaluate.as_markdown(table) in (folder(name) / "README.md").read_text()

    @pytest.mark.soak
    def test_the_weights_do_what_the_evaluation_says(self, evaluation):
        """On a fifth of the scenes, within the interval of that many."""
        name, table = evaluation
        found = evaluate.validate(evaluate.Encoders(*build(name)))
        published = table.set_index("measure")["accuracy"]
        published["binding"] = published["colour–shape binding"]
        for name, accuracy in found.items():
            low, high = evaluate.interval(published[name], evaluate.VALIDATION_SCENES)
            assert low - 0.03 <= accuracy <= high + 0.03

    def test_the_interval_is_wilsons(self):
        from scipy.stats import binomtest

        expected = binomtest(18, 20).proportion_ci(method="wilson")
        assert evaluate.interval(0.9, 20) == pytest.approx((expected.low, expected.high))

    def test_accuracy_is_the_mean_of_the_recalls(self):
        truth, logits = np.array([0, 0, 0, 1]), np.array([[1, 0], [1, 0], [1, 0], [1, 0]])
        row, recall = evaluate.compare("coin", ("heads", "tails"), truth, logits)
        assert row["accuracy"] == 0.5
        assert row["majority"] == 0.75
        assert [value["recall"] for value in recall] == [1, 0]

    def test_an_exchange_of_colours_is_false(self):
        for one in (scenes.scene(index, 1, count="three") for index in range(20)):
            pair = evaluate.exchange(one)
            if pair:
                first, second = pair
                looks = {(item["shape"], item["colour"]) for item in one.objects}
                assert (first["shape"], second["colour"]) not in looks
                assert first["shape"] != second["shape"]
