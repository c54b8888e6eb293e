"""``stillhouse run`` with a stand-in for store and runner: what it asks for, prints and returns."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from engine import api, api_statistics, cli, cli_parser, cli_run
from engine.cli_recipe import recipe_of

TASK = "fashion_mnist"


class FakeEngine:
    """Stands in for store and runner: ends each trial in ``state`` after two reports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, state: str = "done", error: str | None = None) -> None:
        self.state, self.error, self.asked, self.cancelled = state, error, {}, []
        self.interrupt = False
        for name in ("ensure_runner", "wait", "result", "cancel", "status"):
            monkeypatch.setattr(api, name, getattr(self, name))
        monkeypatch.setattr(api_statistics, "submit", self.submit)
        monkeypatch.setattr(api_statistics, "summary", lambda *_: {"seeds": {"seeds": [], "quality": None}})
        monkeypatch.setattr(api, "estimate", lambda *_: {"seconds": 8.0, "basis": "a guess"})

    def submit(self, home: Any, recipe: Any, seeds: int, companions: bool = True, test: bool = False) -> dict[str, Any]:
        self.asked = {"recipe": recipe, "companions": companions, "test": test}
        others = ["d" * 32, "b" * 32] if companions else []
        return {"key": "k" * 32, "keys": [32 * name for name in "kmn"[:seeds]], "companions": others,
                "known": False}  # fmt: skip

    def ensure_runner(self, home: Any) -> None: ...

    def wait(self, home: Any, keys: Any, on_progress: Any = None) -> dict[str, Any]:
        self.keys = list(keys)
        if self.interrupt:
            raise KeyboardInterrupt
        progress = {"doing": "training", "epoch": 1, "epochs": 3, "fraction": 0.3, "loss": 1.0}
        on_progress({"key": self.keys[0], "state": "running", "progress": progress, "seconds_left": 4.0})
        return {key: self.status(home, key) for key in self.keys}

    def status(self, home: Any, key: str) -> dict[str, Any]:
        return {"key": key, "state": "cancelled" if self.cancelled else self.state, "error": self.error, "progress": {}}

    def cancel(self, home: Any, key: str) -> bool:
        self.cancelled.append(key)
        return True

    def result(self, home: Any, key: str) -> dict[str, Any]:
        quality = {"metric": "accuracy", "value": 0.9, "low": 0.89, "high": 0.91, "direction": "maximize"}
        latency = {"median_ms": 0.05, "runtime": "ort", "simulated": False, "slower_here": True, "cause": "too small",
                   "ratio": 1.3, "ratio_low": 1.2, "ratio_high": 1.4, "threads": 1}  # fmt: skip
        cost = {"packed_bytes": 4000, "onnx_bytes": 9000, "parameters": 10174, "nonzero": 5000, "macs": 1,
                "latency": latency}  # fmt: skip
        dense = {"quality": quality, "cost": cost | {"packed_bytes": 36400}}
        state = "cancelled" if self.cancelled else self.state
        return {"key": key, "state": state, "quality": quality, "cost": cost, "test": None, "dense": dense,
                "baseline": None, "teacher": None}  # fmt: skip


class TestRun:
    def test_json_is_the_run_object_alone_of_all_three(self, home: Any, monkeypatch: Any, capsys: Any) -> None:
        fake = FakeEngine(monkeypatch)
        assert cli.main(["run", "--task", TASK, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["key"] == "k" * 32
        assert fake.keys == ["k" * 32, "d" * 32, "b" * 32]
        assert fake.asked == {
            "recipe": recipe_of(cli_parser.parse(["run", "--task", TASK])),
            "companions": True,
            "test": False,
        }

    def test_without_baseline_and_with_test(self, home: Any, monkeypatch: Any, capsys: Any) -> None:
        fake = FakeEngine(monkeypatch)
        assert cli.main(["run", "--task", TASK, "--no-baseline", "--test"]) == 0
        assert (fake.keys, fake.asked["companions"], fake.asked["test"]) == (["k" * 32], False, True)

    def test_words_say_what_came_out_and_progress_is_on_stderr(self, home: Any, monkeypatch: Any, capsys: Any) -> None:
        FakeEngine(monkeypatch)
        assert cli.main(["run", "--task", TASK]) == 0
        out, err = capsys.readouterr()
        assert "90.0 % accuracy (89.0 % to 91.0 %) on validation" in out
        assert "9.1x smaller than the dense student" in out
        assert "1.30x slower here because the net is too small" in out
        assert "epoch 1 of 3, 30 %, loss 1.000, 4.0 s left" in err
        assert "about 8.0 s expected (a guess)" in err

    def test_a_failed_trial_is_status_1_with_its_reason(self, home: Any, monkeypatch: Any, capsys: Any) -> None:
        FakeEngine(monkeypatch, "failed", "the loss\nis not a number")
        assert cli.main(["run", "--task", TASK, "--json"]) == 1
        out, err = capsys.readouterr()
        assert json.loads(out)["state"] == "failed"
        assert err.splitlines()[-1] == "stillhouse: trial kkkkkkkkkkkk failed: the loss is not a number"

    def test_control_c_cancels_the_trial_and_is_status_130(self, home: Any, monkeypatch: Any, capsys: Any) -> None:
        fake = FakeEngine(monkeypatch)
        fake.interrupt = True
        assert cli.main(["run", "--task", TASK, "--json"]) == 130
        out, err = capsys.readouterr()
        assert fake.cancelled == ["k" * 32]
        assert json.loads(out)["state"] == "cancelled"
        assert err.endswith("was cancelled\n")

    def test_a_terminal_gets_one_line_drawn_again(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        out = Terminal()
        progress = cli_run.Progress(out, ["k"])
        for fraction in (0.1, 0.5):
            progress({"key": "k", "state": "done", "progress": {"fraction": fraction}})
        progress.end()
        assert out.getvalue().count("\r") == 2
        assert out.getvalue().count("\n") == 1
