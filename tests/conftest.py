"""What every test shares: one thread, no network, a home of its own, seeded generators, grouping for two workers.

Set before torch is imported: one compute thread (`OMP_NUM_THREADS` overrides it) and no model hub. No test touches the
user's store: `STILLHOUSE_HOME` points into a temporary folder for the whole session and `home` gives each test its own.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"
os.environ.pop("STILLHOUSE_PLUGINS", None)
_session_home = tempfile.mkdtemp(prefix="stillhouse-tests-")
os.environ["STILLHOUSE_HOME"] = _session_home

DATA = Path(__file__).with_name("data")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same numbers in every run and in every order; costs nothing for a test that needs no torch."""
    import random

    import numpy as np

    random.seed(0)
    np.random.seed(0)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(0)
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty home that this test alone uses, also by way of ``STILLHOUSE_HOME``."""
    from engine.home import Home

    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "home"))
    return Home.locate()


@pytest.fixture
def small_catalogue(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two made-up tasks with a few models, losses and stages: tests of values stay apart from the real plug-ins."""
    from engine import catalogue

    monkeypatch.delenv("STILLHOUSE_PLUGINS", raising=False)
    monkeypatch.setattr(catalogue, "PATH", DATA / "small_catalogue.json")
    return catalogue.current()


@pytest.fixture
def tiny_recipe(small_catalogue: Any) -> dict[str, Any]:
    """A short valid recipe of the small catalogue, as JSON that a test may change."""
    pruned = {"name": "prune_magnitude", "sparsity": 0.5, "schedule": "gradual"}
    stages = [{"name": "quantize_linear", "bits": 8}, {"name": "recalibrate"}]
    trained = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"], "stages": [pruned]}
    return {"task": "shapes", "student": "small", "phases": [trained, {"epochs": 0, "stages": stages}], "seed": 3}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests first, since they take longest; `--dist loadfile` keeps every file on one worker."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


class SkippedBrowser:
    """On a machine that calls itself CI a skipped browser test is a failure: nobody would notice it otherwise."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember skipped browser tests (reports of xdist's workers arrive here too)."""
        if report.skipped and "browser" in report.keywords and not hasattr(report, "wasxfail"):
            self.names.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a passing session into a failing one."""
        if self.names and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say why."""
        for name in self.names:
            terminalreporter.write_line(f"browser test skipped where CI is set, which counts as a failure: {name}")


def pytest_configure(config: pytest.Config) -> None:
    """Watch for skipped browser tests where ``CI`` is set."""
    if os.environ.get("CI", "").lower() in ("1", "true", "yes") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkippedBrowser(), "skipped-browser")


def pytest_unconfigure() -> None:
    """Remove this process's session home."""
    shutil.rmtree(_session_home, ignore_errors=True)
