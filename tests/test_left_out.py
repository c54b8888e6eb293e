"""A class left out of the transfer set: exactly its images go, the teacher's rows stay, its recall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine import api_rows, cli, metrics, pipeline, registry, transfer
from engine.cli_parser import parse
from engine.cli_recipe import recipe_of
from engine.errors import InputError
from engine.home import Home
from engine.recipe import Recipe
from engine.search import space
from engine.workbench import Bench
from pages.parts import trial_head, trial_steps

TASK = "fashion_mnist"
CLASSES = 10
KEY = "81d4c48dec1df52299bd9b24f70e99bd"


def recipe(**more: Any) -> Recipe:
    phase = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"]}
    return Recipe.from_json({"task": TASK, "student": "plain_1k5", "phases": [phase], **more})


def test_exactly_its_rows_go(home: Home) -> None:
    task: Any = registry.get("tasks", TASK)
    whole = task.split("sample", "train")
    seen = Bench(recipe(without="Trouser"), home).training
    keep = whole.labels != 1
    assert len(seen) == int(keep.sum()) == 18_000
    assert torch.equal(seen.labels, whole.labels[keep])
    assert torch.equal(seen.inputs, whole.inputs[keep])
    assert Bench(recipe(), home).training.inputs is whole.inputs


def test_the_teachers_answers_stay_beside_their_images(home: Home) -> None:
    bench = Bench(recipe(without="Trouser"), home)
    outputs: Any = bench.task.shipped_outputs("teacher", "sample", "train")
    found = transfer.chosen(outputs, bench.task, bench.recipe)
    assert len(found) == len(bench.training)
    right = (found.argmax(1) == bench.training.labels).float().mean()
    assert right > 0.95  # of other rows it would be a tenth


def test_labels_and_calibration_come_from_what_is_left(home: Home) -> None:
    bench = Bench(recipe(without="Trouser", labels=180), home)
    chosen = bench.training.labels[bench.labelled]
    assert torch.bincount(chosen, minlength=CLASSES).tolist() == [20, 0, *[20] * 8]
    assert all(1 not in labels for _, labels in Bench(recipe(without="Trouser"), home).calibration)


def test_recipes_without_a_left_out_class_keep_their_key() -> None:
    assert recipe().key == recipe(without=None).key == KEY
    assert "without" not in recipe().to_json()


def test_the_class_is_named_or_numbered_and_kept_by_its_name() -> None:
    named = recipe(without="Ankle boot")
    assert named.to_json()["without"] == "Ankle boot"
    assert recipe(without="ankle BOOT").key == recipe(without=9).key == named.key != KEY
    assert Recipe.from_json(named.to_json()).key == named.key
    for companion in (named.dense(), named.baseline(), named.with_one_shot(0.5, 4)):
        assert companion.without == "Ankle boot"


@pytest.mark.parametrize("value", ["Trousers", "", 10, -1, True, 1.0, [1]])
def test_what_is_no_class_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"recipe\.without.*Ankle boot"):
        recipe(without=value)


def test_more_labels_than_images_that_are_left_are_refused() -> None:
    with pytest.raises(InputError, match="18000"):
        recipe(without=0, labels=18_001)
    assert recipe(labels=18_001).labels == 18_001


def test_the_bias_makes_the_class_the_answer_for_its_share() -> None:
    logits = np.random.default_rng(0).normal(size=(1000, CLASSES)) - 4 * np.eye(CLASSES)[3]
    assert (logits.argmax(1) == 3).mean() < 0.01
    bias = metrics.raise_to(logits, 3, 0.1)
    raised = logits + bias * np.eye(CLASSES)[3]
    assert (raised.argmax(1) == 3).sum() == 100
    assert metrics.raise_to(logits + 10 * np.eye(CLASSES)[3], 3, 0.1) == 0.0, "it is never lowered"


def test_recall_by_hand_and_that_no_image_judges_by_its_own_bias() -> None:
    """Four images a half. The even half needs a bias of 1, the odd one of 3; each is used on the other."""
    rows = [(0.0, 0.9), (0.0, 2.9), (5.0, 0.0), (5.0, 0.0), (5.0, 0.0), (5.0, 0.0), (5.0, 0.0), (5.0, 0.0)]
    logits = np.array([(own, other) for other, own in ((b, a) for a, b in rows)])
    logits[2:, 1] = 9.0
    labels = np.array([0, 0, 1, 1, 1, 1, 1, 1])
    even, odd = (metrics.raise_to(logits[half::2], 0, 0.5) for half in (0, 1))
    found = metrics.left_out(logits, labels, 0)
    assert found["left_out_bias"] == pytest.approx((even + odd) / 2)
    raised = logits.copy()
    raised[0::2, 0] += odd
    raised[1::2, 0] += even
    assert found["left_out_recall"] == 0.0
    assert found["left_out_recall_raised"] == (raised[:2].argmax(1) == 0).mean()
    assert found["left_out_accuracy"] == (raised.argmax(1) == labels).mean()


def test_labels_of_the_other_classes_do_not_move_the_bias() -> None:
    logits = np.random.default_rng(1).normal(size=(400, CLASSES))
    labels = np.arange(400) % CLASSES
    turned = np.where(labels == 2, 2, (labels + 5) % CLASSES)
    one, other = (metrics.left_out(logits, y, 2)["left_out_bias"] for y in (labels, turned))
    assert one == other


def test_the_command_line_takes_a_name_or_a_number() -> None:
    for text in ("Trouser", "1"):
        row = recipe_of(parse(["run", "--task", TASK, "--without", text]))
        assert Recipe.from_json(row).without == "Trouser"
    with pytest.raises(InputError, match="did you mean 'Trouser'"):
        Recipe.from_json(recipe_of(parse(["run", "--task", TASK, "--without", "Trousers"])))
    assert cli.main(["run", "--task", TASK, "--without", "Sock"]) == 2


def test_it_is_an_axis_of_a_sweep_and_a_column_of_the_rows() -> None:
    row = {**recipe().to_json(), "without": [None, "Shirt", "Bag"]}
    points = space.read(row).points()
    assert [p.recipe.without for p in points] == [None, "Shirt", "Bag"]
    assert [p.setting for p in points] == [{"without": None}, {"without": "Shirt"}, {"without": "Bag"}]
    assert api_rows.settings(points[1].recipe.to_json())["without"] == "Shirt"


def test_a_trials_metrics_hold_its_recall_and_the_page_says_it(home: Home) -> None:
    bench = Bench(recipe(without="Trouser"), home)
    labels = bench.task.split("sample", "validation").labels[:1000]
    logits = np.eye(CLASSES, dtype=np.float32)[labels] * 4
    logits[labels == 1, 1] = -4.0  # never the answer, but nearer to it on its own images than on others
    logits[labels != 1, 1] = -9.0
    logits[:, 1] += np.random.default_rng(0).normal(size=len(logits)).astype(np.float32)
    taught: Any = torch.from_numpy(logits)
    found = pipeline.all_metrics(bench, logits, taught)
    assert found["left_out_recall"] == 0.0
    assert found["left_out_recall_raised"] > 0.8
    assert "left_out_recall" not in pipeline.all_metrics(Bench(recipe(), home), logits, taught)
    said = trial_head.left_out({"recipe": bench.recipe.to_json(), "metrics": found})
    assert said is not None
    assert said.startswith("**Trouser was left out of training.** Of its images 0.0")
    assert trial_head.left_out({"recipe": recipe().to_json(), "metrics": {}}) is None


def test_the_page_says_where_a_moving_temperature_went() -> None:
    curve = [{"epoch": 1, "moved": {"temperature": 3.04}}, {"epoch": 2, "moved": {"temperature": 1.0}}, {"epoch": 3}]
    assert "temperature 3.04, 1.00" in trial_steps.moved_words(curve)
    assert trial_steps.moved_words([]) == ""
