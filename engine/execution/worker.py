"""What happens inside a worker process: warm up once, then perform one piece of work after the other.

``STILLHOUSE_PIPELINE`` is the test seam: it names a module with the functions that are the keys of ``ENTRIES``, used in
place of the real ones, so that the store, the runner and the faults are tested in seconds without training anything.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from engine.errors import CancelledError, NotFoundError, StillhouseError
from engine.execution.base import Outcome, Reporter, point_of
from engine.execution.slot import Slot
from engine.home import Home
from engine.recipe import Recipe
from engine.store import Point, Store, Work

ENTRIES = {
    "run": "engine.pipeline:run",
    "grid": "engine.search.grid:run",
    "retime": "engine.retiming:retime",
    "inspect": "engine.inspection:inspect",
    "runtimes": "engine.other_runtimes:compare",
    "sensitivity": "engine.sensitivity:sense",
}
BEHIND_PAGES = 5  # trials use every core that is free, but a page that somebody looks at comes first
MEMORY_SHARE = 0.9  # of the machine's memory: a runaway worker fails with a reason instead of being killed at random


def prepare() -> None:
    """Run once as a worker starts: follow the parent into death, bound the memory, import and warm what trials need."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    os.setpgid(0, 0)  # a group of its own, so that a measuring child goes with its worker
    os.nice(BEHIND_PAGES)
    signal.signal(signal.SIGTERM, _leave)
    _limit_memory()
    try:
        if "STILLHOUSE_PIPELINE" in os.environ:
            importlib.import_module(os.environ["STILLHOUSE_PIPELINE"])
        else:
            warm_up()
    except Exception:  # noqa: BLE001  the first work meets the same error and fails with its reason
        traceback.print_exc(file=sys.stderr)


def warm_up() -> None:
    """Import torch, onnxruntime and the pipeline and take an optimizer step, so that the first trial starts at once."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    optimizer = None
    for _ in range(2):  # the first forward makes the lazy layer's weights
        loss = model(torch.zeros(2, 1, 8, 8)).square().mean()
        optimizer = optimizer or torch.optim.AdamW(model.parameters(), fused=True)
        loss.backward()
        optimizer.step()
    for entry in ENTRIES.values():
        importlib.import_module(entry.split(":")[0])
    importlib.import_module("onnxruntime")


def perform(root: str, work: Work) -> dict[str, Any]:
    """Do one attempt. ``{"how", "reason", "point", "readings"}`` as in :class:`engine.execution.base.Ended`."""
    home = Home(Path(root))  # not located: a home that has vanished must not be made again
    store, slot = Store(home.store), Slot(home)
    reporter = Reporter(lambda progress, events: store.report(work.id, work.attempt, progress, events))
    try:
        reporter({"doing": "starting", "pid": os.getpid()})
        return {"how": "done", **_do(work, home, store, reporter, slot)}
    except CancelledError as problem:
        return {"how": "stopped", "reason": str(problem)}
    except StillhouseError as problem:
        return {"how": "failed", "reason": str(problem)}
    except MemoryError:
        return {
            "how": "failed",
            "reason": "the memory was not enough; choose a smaller student, or close other programs",
        }
    except Exception as problem:  # noqa: BLE001  the boundary of a process: the reason is told, the trace is logged
        traceback.print_exc(file=sys.stderr)
        where = traceback.extract_tb(problem.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}, line {where.lineno}"
        return {"how": "failed", "reason": f"{type(problem).__name__}: {_line(problem)} ({place}; see runner.log)"}
    finally:
        slot.close()
        store.close()


def _do(work: Work, home: Home, store: Store, reporter: Reporter, slot: Slot) -> dict[str, Any]:
    if work.kind == "trial":
        outcome = entry("run")(Recipe.from_json(work.body), home, reporter, slot, work.test)
        return {"point": point_of(outcome)}
    if work.kind == "grid":
        dense, share = Recipe.from_json(work.body["dense"]), (work.body["part"], work.body["parts"])
        entry("grid")(dense, home, reporter, slot, _keeper(store, work), *share)
        return {}
    if work.kind in ("inspect", "runtimes", "sensitivity"):
        entry(work.kind)(work.body, home, reporter, slot)
        return {}
    return {"readings": _readings(entry("retime")(work.task, home, reporter, slot))}


def entry(name: str) -> Callable[..., Any]:
    """One of the names in ``ENTRIES``: the real one, or that of the module named by ``STILLHOUSE_PIPELINE``."""
    stub = os.environ.get("STILLHOUSE_PIPELINE")
    module, function = (stub, name) if stub else ENTRIES[name].split(":")
    found = getattr(importlib.import_module(module), function, None)
    if found is None:
        raise NotFoundError(f"{module} has no {function}")
    chosen: Callable[..., Any] = found
    return chosen


def _keeper(store: Store, work: Work) -> Callable[[list[Outcome]], None]:
    def keep(outcomes: list[Outcome]) -> None:
        points: list[Point] = [point_of(o) for o in outcomes]
        if not store.add_points(work.id, work.attempt, work.dense_key, points):
            raise CancelledError("this attempt is no longer wanted")

    return keep


def _readings(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise TypeError(f"retime must return a mapping of keys to readings, not {type(found).__name__}")
    return dict(found)


def _line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or ["no message"])[0][:300]


def _limit_memory() -> None:
    # RLIMIT_DATA and not RLIMIT_AS: address space is reserved far beyond what is used
    if sys.platform == "linux":
        limit = int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE)
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _leave(signal.SIGTERM, None)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
