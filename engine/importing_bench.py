"""What ``bench.py`` measured on another machine, brought into this home: checked word by word, kept beside a trial.

The file is foreign: nothing in it is believed that can be checked. Its form must be exactly that of
:mod:`engine.measure.bench`, its numbers possible, its machine's id the one that its facts give, and each model the very
file that this home knows under the key. A trial's own latencies stay; on the Front page each machine has its own.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine import api_home, api_rows, store_read, store_rules
from engine.errors import FileError, StillhouseError, StoreError
from engine.files import packed_digest
from engine.home import Home
from engine.measure import machine
from engine.measure.bench import FORMAT, FORMAT_VERSION
from engine.result import LATENCIES, Latency
from engine.store import Store

Row = dict[str, Any]
Test = Callable[[Any], bool]
MOST_BYTES, MOST_MODELS, MOST_NUMBER = 8_000_000, 10_000, 1e12
KEY, DIGEST = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
SHOWN = 8
PACKED = api_rows.SHIPPED.parent / "shipped"


def bring(home: Home, store: Store, source: Path, now: float) -> tuple[int, Counter[str], Counter[str]]:
    """How many readings were kept, by machine those, and by reason what was refused.

    Raises :class:`FileError` for a file that ``bench.py`` cannot have written, :class:`StoreError` for a newer one.
    """
    found = read(source)
    where = {name: found["machine"][name] for name in ("machine", "machine_id")}
    kept: Row = {}
    refused: Counter[str] = Counter()
    for model in found["models"]:
        try:
            known = _known(home, store, model)
        except StillhouseError as problem:
            refused[str(problem)[:200]] += 1
        else:
            kept[model["key"]] = (model["task"], _times(model, found, known) | where)
    with store.change() as db:
        for key, (task, body) in kept.items():
            store_rules.read_elsewhere(db, key, task, body, now)
    return len(kept), Counter({where["machine"]: len(kept)} if kept else {}), refused


def read(source: Path) -> Row:
    """The file's content, after every part of it was checked."""
    try:
        with source.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES:,} bytes")
        found = json.loads(text.decode(), parse_constant=_no_constant, object_pairs_hook=_once)
        _check(found)
    except OSError as problem:
        raise FileError(f"{source}: it cannot be read ({problem.strerror})") from None
    except UnicodeDecodeError:
        raise FileError(f"{source}: it is no UTF-8 text; nothing was imported") from None
    except RecursionError:
        raise FileError(f"{source}: it is nested too deeply for what bench.py writes; nothing was imported") from None
    except ValueError as problem:
        why = " ".join(str(problem).split())[:200]
        raise FileError(f"{source}: not what `bench.py --json` writes ({why}); nothing was imported") from None
    return dict(found)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _once(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _words(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _whole(low: int, high: int) -> Test:
    return lambda value: type(value) is int and low <= value <= high


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < MOST_NUMBER and math.isfinite(value)


def _not_negative(value: Any) -> bool:
    return _number(value) or (type(value) in (int, float) and value == 0)


def _or_none(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _text(form: re.Pattern[str]) -> Test:
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def _features(value: Any) -> bool:
    return isinstance(value, list) and all(word in machine.FEATURES for word in value if _words(word)) and (
        len(value) <= len(machine.FEATURES) and all(map(_words, value)))  # fmt: skip


@dataclass(frozen=True)
class Form:
    """An object of the file: its name in messages, a test for each needed name, and for those that may be missing."""

    name: str
    needed: Mapping[str, Test]
    optional: Mapping[str, Test]

    def check(self, found: Any) -> None:
        """Raise ValueError with the first thing that is wrong."""
        if not isinstance(found, dict):
            raise ValueError(f"{self.name} is no object")
        tests = {**self.needed, **self.optional}
        for word in found:
            if word not in tests:
                near = difflib.get_close_matches(word[: SHOWN * 8], tests, 1)
                raise ValueError(
                    f"{self.name} has an unknown {word[:40]!r}" + (f"; is it {near[0]!r}?" if near else "")
                )
        for word in self.needed:
            if word not in found:
                raise ValueError(f"{self.name} has no {word!r}")
        for word, value in found.items():
            if not tests[word](value):
                raise ValueError(f"{word!r} of {self.name} cannot be {repr(value)[:40] if _short(value) else '...'}")


def _short(value: Any) -> bool:
    """Whether writing the value out is quick: an integer may have thousands of digits, a list anything."""
    return isinstance(value, str | float | bool) or value is None or (type(value) is int and abs(value) < 2**64)


FILE = Form("the file", {
    "format": lambda v: v == FORMAT, "version": _whole(1, FORMAT_VERSION),
    "measured": lambda v: _number(v) and v < 2**33, "machine": lambda v: isinstance(v, dict),
    "runtime": _words, "threads": _whole(1, 4096),
    "models": lambda v: isinstance(v, list) and 0 < len(v) <= MOST_MODELS}, {})  # fmt: skip
MACHINE = Form("the machine", {
    "processor": _words, "architecture": _words, "cores": _whole(1, 2**16), "features": _features, "machine": _words,
    "machine_id": _text(re.compile(r"[0-9a-f]{12}")), "system": _words, "python": _words},
    dict.fromkeys(machine.PACKAGES, _words))  # fmt: skip
MODEL = Form("a model", {
    "key": _text(KEY), "task": _words, "onnx_bytes": _whole(1, 2**40), "onnx_sha256": _text(DIGEST),
    "batches": lambda v: isinstance(v, dict) and 0 < len(v) <= 64}, {})  # fmt: skip
READING = Form("a reading", {
    **dict.fromkeys(("median_ms", "low_ms", "high_ms", "p95_ms"), _number), "cpu_ms": _not_negative,
    "rounds": _whole(1, 10**6), **dict.fromkeys(("ratio", "ratio_low", "ratio_high"), _or_none(_number)),
    "memory_bytes": _or_none(_whole(0, 2**50))}, {})  # fmt: skip


def _check(found: Any) -> None:
    if (
        isinstance(found, dict)
        and found.get("format") == FORMAT
        and _whole(FORMAT_VERSION + 1, 2**31)(found.get("version"))
    ):
        raise StoreError(f"a newer bench.py wrote this file (version {found['version']}, not {FORMAT_VERSION}); "
                         "update this program, then import it again")  # fmt: skip
    FILE.check(found)
    MACHINE.check(found["machine"])
    if found["machine"]["machine_id"] != machine.machine_id(dict.fromkeys(machine.PACKAGES) | found["machine"]):
        raise ValueError("the machine's id is not the one that its facts give")
    for model in found["models"]:
        MODEL.check(model)
        for size, row in model["batches"].items():
            if not re.fullmatch(r"[1-9][0-9]{0,4}", size):
                raise ValueError(f"{size[:40]!r} is no batch size")
            READING.check(row)
            _check_order(row)
    if len({model["key"] for model in found["models"]}) < len(found["models"]):
        raise ValueError("a model stands twice in it")


def _check_order(row: Row) -> None:
    ratios = [row[name] for name in ("ratio_low", "ratio", "ratio_high")]
    given = [ratio for ratio in ratios if ratio is not None]
    if not row["low_ms"] <= row["median_ms"] <= row["high_ms"] or given != sorted(given) or len(given) not in (0, 3):
        raise ValueError("an interval does not hold its value")


def _known(home: Home, store: Store, model: Row) -> Row:
    """The result that was timed: {"body", "dense_key"}. StillhouseError unless it is here and the file is the same."""
    key, short = model["key"], model["key"][:SHOWN]
    stored, shipped = store_read.result(store, key), None
    if stored is None:
        shipped = next((e for e in api_rows.shipped() if e["result"]["key"] == key), None)
        if shipped is None:
            raise FileError(f"trial {short} is not in this home; import a backup of the home that it was exported "
                            "from, then this file again")  # fmt: skip
    body: Row = stored.body if stored else (shipped or {})["result"]
    if body["recipe"]["task"] != model["task"]:
        raise FileError(f"trial {short} belongs to the task {body['recipe']['task']}, not to {model['task'][:40]!r}")
    ours = _digest(home, key, body, shipped is not None)
    if ours not in (None, model["onnx_sha256"]) or body["cost"]["onnx_bytes"] != model["onnx_bytes"]:
        raise FileError(f"trial {short} is another file here; export it again, and time that one")
    rows = api_home.table_of(home, model["task"])
    return {"body": body, "dense_key": next((r["dense_key"] for r in rows if r["key"] == key), "")}


def _digest(home: Home, key: str, body: Row, shipped: bool) -> str | None:
    """The ONNX file's SHA-256; None for points whose files are not kept: there only the size can be compared."""
    name = (body.get("artifact") or {}).get("onnx")
    try:
        if shipped:
            return packed_digest(PACKED / f"{key}.packed")
        return hashlib.sha256((home.artifact(key) / Path(name).name).read_bytes()).hexdigest() if name else None
    except OSError:
        return None


def _times(model: Row, found: Row, known: Row) -> Row:
    """The latencies as a result holds them. A ratio stays only where it is to the trial's own dense student."""
    cost, first = known["body"]["cost"], found["models"][0]["key"]
    paired = first == known["dense_key"] and first != model["key"]
    simulated = bool((cost.get("latency") or {}).get("simulated"))
    told: Row = {}
    for batch, name in LATENCIES.items():
        row = model["batches"].get(str(batch))
        if row:
            ratios = {n: row[n] if paired else None for n in ("ratio", "ratio_low", "ratio_high")}
            slower = paired and (ratios["ratio_low"] or 0) > 1
            latency = Latency(**{**row, **ratios}, batch=batch, runtime=found["runtime"], threads=found["threads"],
                              simulated=simulated, slower_here=slower)  # fmt: skip
            told[name] = asdict(latency)
    return told
