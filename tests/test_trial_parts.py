"""Parts of the page Trial as pure functions: its address, the words for its steps, its pictures, bars and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pages.parts import trial_html, trial_layers, trial_record, trial_state, trial_steps, trial_wait
from pages.parts.trial_state import Asked


class TestAddress:
    def test_an_empty_address_asks_for_nothing_special(self) -> None:
        assert trial_state.read({}) == Asked()
        assert trial_state.write(Asked()) == {}

    def test_there_and_back(self) -> None:
        asked = Asked("4ca270d59c40", "mistakes", "head", "change", 6, 0, 16, 4999)
        address = trial_state.write(asked)
        assert address == {
            "key": "4ca270d59c40", "view": "mistakes", "layer": "head", "shown": "change", "label": "6", "answer": "0",
            "start": "16", "image": "4999",
        }  # fmt: skip
        assert trial_state.read(address) == asked

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("view", "everything", "allowed: steps, layers, sensitivity, time, mistakes, sure, try, record"),
            ("shown", "all", "allowed: answers, change"),
            ("label", "-1", "a whole number from 0"),
            ("image", "1e9", "a whole number from 0"),
            ("start", "999999", "a whole number from 0"),
            ("key", "<script>", "a key of a trial"),
        ],
    )
    def test_an_impossible_value_falls_back_with_one_line(self, name: str, value: str, said: str) -> None:
        asked = trial_state.read({name: value})
        assert len(asked.problems) == 1
        assert said in asked.problems[0]
        assert replace(asked, problems=()) == Asked()

    def test_a_long_value_is_not_repeated_whole(self) -> None:
        (problem,) = trial_state.read({"view": "x" * 500}).problems
        assert len(problem) < 200


class TestWordsOfSteps:
    def step(self, kind: str, epochs: int, *stages: dict[str, Any]) -> str:
        return trial_steps.name_of({"name": "raw", "kind": kind, "epochs": epochs, "stages": list(stages)})

    def test_each_kind_of_step(self) -> None:
        prune = {"name": "prune_magnitude", "sparsity": 0.5}
        assert self.step("dense", 3) == "Dense student"
        assert self.step("train", 1) == "trained one epoch"
        assert self.step("train", 3, prune) == "trained 3 epochs with zeros 50 %"
        assert self.step("apply", 0, {"name": "quantize_linear", "bits": 4}) == "rounded to 4 bits"
        assert self.step("apply", 0, prune | {"layers": "a"}, prune | {"layers": "b"}) == "zeros, layer by layer"
        assert self.step("apply", 0, prune, {"name": "recalibrate"}) == "zeros 50 %, then norms measured again"

    def test_a_stage_that_nobody_described_reads_as_its_name(self) -> None:
        assert self.step("apply", 0, {"name": "share_weights"}) == "share weights"
        assert trial_steps.name_of({"name": "something", "kind": "apply", "stages": []}) == "something"

    def test_without_an_inspection_the_two_ends_are_the_steps(self) -> None:
        def side(key: str, size: int) -> dict[str, Any]:
            latency = {"median_ms": 0.05, "low_ms": 0.04, "high_ms": 0.06, "simulated": True}
            quality = {"value": 0.9, "low": 0.8, "high": 0.95, "metric": "accuracy"}
            costs = {"packed_bytes": size, "onnx_bytes": 2 * size, "macs": 5, "nonzero": 4, "latency": latency}
            return {"key": key, "quality": quality, "cost": costs}

        first, last = trial_steps.ends({**side("b", 100), "dense": side("a", 400)})
        assert (first["name"], first["packed_bytes"], last["packed_bytes"]) == ("Dense student", 400, 100)
        assert last["simulated"]
        assert len(trial_steps.ends({**side("a", 400), "dense": side("a", 400)})) == 1, "a dense student is one end"
        assert len(trial_steps.ends({**side("b", 100), "dense": None})) == 1

    def test_settings_that_a_loss_learns_are_told_epoch_by_epoch(self) -> None:
        learned = [{"temperature": 3.5, "weight": 0.9}, {"temperature": 2.251, "weight": 0.8}]
        curve = [{"epoch": 1, "quality": 0.8}, *({"moved": values} for values in learned)]
        told = trial_steps.moved_words(curve)
        assert "temperature 3.50, 2.25; weight 0.90, 0.80" in told
        assert trial_steps.moved_words([{"epoch": 1}, {"epoch": 2, "moved": {}}]) == ""


class TestPieces:
    def example(self, **changed: Any) -> dict[str, Any]:
        teacher = [0.0, 0.02, 0.9, 0.08]
        return {"index": 12, "label": 2, "answer": 0, "teacher": teacher, "student": [0.7, 0.1, 0.15, 0.05],
                "dense": None, **changed}  # fmt: skip

    def test_a_card_shows_the_label_first_and_both_answers(self) -> None:
        names = ["<Shirt>", "Coat", "Dress", "Bag"]
        assert trial_html.main_classes(self.example())[0] == 2
        card = trial_html.card(self.example(), np.zeros((28, 28), np.uint8), names)
        assert "&lt;Shirt&gt;" in card
        assert "<Shirt>" not in card
        assert "90.0 %" in card
        assert "70.0 %" in card
        assert card.count("sh-teacher") == card.count("sh-student") == 4
        assert 'alt="A picture with the label Dress, answered &lt;Shirt&gt;."' in card

    def test_a_card_without_a_teacher_and_with_the_dense_students_answer(self) -> None:
        example = self.example(teacher=None, dense=[0.0, 1.0, 0.0, 0.0])
        card = trial_html.card(example, np.zeros((28, 28), np.uint8), ["a", "b", "c", "d"])
        assert "sh-teacher" not in card
        assert "Dense student: b 100.0\u00a0%" in card

    def test_at_most_four_classes_and_always_the_label(self) -> None:
        shares = [0.5, 0.3, 0.1, 0.05, 0.05, 0.0]
        found = trial_html.main_classes({"label": 5, "answer": 0, "teacher": shares, "student": shares[::-1]})
        assert len(found) == 4
        assert 5 in found

    def test_tables_are_escaped_and_aligned(self) -> None:
        table = trial_html.table(["a", "b"], [["<x>", "1"], ["y", "2"]], numbers=1, strong=1)
        assert "&lt;x&gt;" in table
        assert table.count("sh-number") == 3
        assert table.index("sh-strong") > table.index("&lt;x&gt;")

    def test_pictures_stay_on_the_page(self) -> None:
        assert trial_html.picture(np.eye(28, dtype=np.uint8)).startswith("data:image/png;base64,iVBOR")

    def test_environment_leaves_out_what_is_not_known(self) -> None:
        rows = trial_record.environment({"environment": {"torch": "2", "features": ["avx2", "vnni"], "numpy": None}})
        assert rows == [["torch", "2"], ["vector features", "avx2, vnni"]]
        assert trial_record.environment({"environment": None}) == []

    def test_a_layer_that_is_not_there_falls_back(self) -> None:
        assert trial_layers.chosen(["a", "b"], "b") == "b"
        assert trial_layers.chosen(["a", "b"], "zz") == "a"

    @pytest.mark.parametrize(
        ("state", "progress", "said"),
        [
            ("queued", {"place": 3}, "waiting, 3 in front"),
            ("queued", {"place": 0}, "next in line"),
            ("running", {"doing": "training", "epoch": 2, "epochs": 3}, "training, epoch 2 of 3"),
            ("running", {"doing": "looking inside", "seconds_left": 6.2}, "reading its layers, about 6 s left"),
            ("running", {"doing": "something new"}, "something new"),
        ],
    )
    def test_progress_of_an_inspection(self, state: str, progress: dict[str, Any], said: str) -> None:
        assert said in trial_wait.describe({"state": state, "progress": progress})

    def test_files_to_take_away_are_offered_where_they_are(self, tmp_path: Path) -> None:
        files = {name: str(tmp_path / f"model.{name}") for name in ("onnx", "packed")}
        assert not trial_record.has_files({"artifact": files})
        for path in files.values():
            Path(path).touch()
        assert trial_record.has_files({"artifact": files})
        assert not trial_record.has_files({"artifact": {}})
        assert not trial_record.has_files({"artifact": None})

    def test_weights_are_compared_with_what_the_inspection_says(self) -> None:
        assert trial_layers.before_words({"before": "dense"}) == "dense student"
        assert trial_layers.before_words({"before": "initial"}) == "before training"
