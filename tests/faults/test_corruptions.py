"""A thousand damaged or hostile JSONs of a bench, a thousand lying sizes in packed files: refused at once in one line.

Damaged packed files and artifacts have their thousands in ``tests/test_hostile_files.py``.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_tools import bench_json
from house_tools import put

from engine import importing_bench, store_read
from engine.api_home import store_of
from engine.errors import FileError, StillhouseError
from engine.home import Home
from engine.importing import bring

CASES, SECONDS, MEGABYTES = 1000, 0.5, 40
NASTY: list[Any] = [
    None, True, False, -1, 0, 0.0, -0.0, 2**63, 2**64, 10**400, 1e308, 5e-324, "", "0.5", "1e3", "NaN", [], {}, [[]],
    {"a": {}}, "\x00", "\x1b[2J", "\u202e", "../../etc/passwd", "a" * 100_000, "__import__('os').system('touch x')",
    [0] * 10_000, float("nan"), float("inf"), float("-inf"), {"__class__": "os"}, "\ud800",
]  # fmt: skip


def places(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside, the whole left out."""
    pairs = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for name, value in pairs:
        yield (*path, name)
        yield from places(value, (*path, name))


def altered(found: Any, rng: random.Random) -> bytes:
    """One value of another type or size, left out, moved elsewhere, or under another name."""
    found = copy.deepcopy(found)
    ways = list(places(found))
    path = rng.choice(ways)
    inside = found
    for name in path[:-1]:
        inside = inside[name]
    kind = rng.randrange(4)
    if kind == 0 and isinstance(inside, dict):
        inside[rng.choice(["x", "Key", "__proto__", "\x00", path[-1] + "_"])] = inside.pop(path[-1])
    elif kind == 1:
        del inside[path[-1]]
    elif kind == 2:
        deep: Any = inside[path[-1]]
        for _ in range(rng.choice([1, 50, 900])):
            deep = [deep] if rng.random() < 0.5 else {"a": deep}
        inside[path[-1]] = deep
    else:
        inside[path[-1]] = rng.choice(NASTY)
    return json.dumps(found).encode()


def damaged(text: bytes, rng: random.Random) -> bytes:
    """Cut short, bits flipped, bytes put in, a number that is very long, brackets that never end."""
    data, at = bytearray(text), rng.randrange(1, len(text))
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        for _ in range(rng.randrange(1, 9)):
            data[rng.randrange(1, len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        data[at:at] = rng.randbytes(rng.randrange(1, 60))
    elif kind == 3:
        data[at:at] = b"9" * rng.choice([20, 5_000, 200_000])
    else:
        data[at:at] = rng.choice([b"[", b'{"a":', b'"', b"\\"]) * rng.choice([1, 2_000, 100_000])
    return bytes(data)


@pytest.fixture
def whole(home: Home) -> dict[str, Any]:
    """A sound file of two trials in the home."""
    return bench_json(home, put(home, 0), put(home, 1))


def cases(whole: dict[str, Any], seed: int, count: int) -> Iterator[bytes]:
    rng, text = random.Random(seed), json.dumps(whole, indent=1).encode()
    for number in range(count):
        bad = altered(whole, rng) if number % 2 else damaged(text, rng)
        yield bad if bad.lstrip().startswith(b"{") else b"{" + bad


def test_a_thousand_jsons(home: Home, whole: dict[str, Any], tmp_path: Path) -> None:
    """Each is refused by an error of ours, or read as another sound file; none is half imported."""
    path, told, slowest = tmp_path / "there.json", [], 0.0
    for bad in cases(whole, 1, CASES):
        path.write_bytes(bad)
        start = time.process_time()
        try:
            found = importing_bench.read(path)
        except StillhouseError as problem:
            told.append(str(problem))
        else:  # a digit that became another one, a space: it must still be what bench.py could have written
            path.write_text(json.dumps(found))
            assert importing_bench.read(path) == found
        slowest = max(slowest, time.process_time() - start)
    assert len(told) > 0.9 * CASES
    assert not [line for line in told if not line.isprintable() or len(line) > 600]
    assert slowest < SECONDS
    assert not store_read.elsewhere(store_of(home), "fashion_mnist")


def test_what_the_command_does_with_them(home: Home, whole: dict[str, Any], tmp_path: Path) -> None:
    """By the way that a person takes, to the store: nothing but an error of ours, and only possible times are kept."""
    path = tmp_path / "there.json"
    for bad in cases(whole, 2, 100):
        path.write_bytes(bad)
        with contextlib.suppress(StillhouseError):
            bring(home, path)
    kept = [body for rows in store_read.elsewhere(store_of(home), "fashion_mnist").values() for body in rows]
    assert all(0 < body[name]["median_ms"] < 1e12 for body in kept for name in body if name.startswith("latency"))
    assert not list(home.root.glob("import-*"))


def test_they_take_little_memory(whole: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "there.json"
    tracemalloc.start()
    try:
        for bad in cases(whole, 3, 100):
            path.write_bytes(bad)
            with contextlib.suppress(StillhouseError):
                importing_bench.read(path)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTES


def test_a_file_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "there.json"
    with path.open("wb") as file:
        file.write(b'{"a": "')
        file.truncate(2**33)  # 8 GB that take no room
    start = time.process_time()
    with pytest.raises(FileError, match="longer than"):
        importing_bench.read(path)
    assert time.process_time() - start < SECONDS


BOMBS = """
import importlib.util, resource, struct, sys, zstandard
spec = importlib.util.spec_from_file_location("decoder", sys.argv[1])
decoder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(decoder)
press, zeros = zstandard.ZstdCompressor().compressobj(), b""
for _ in range(2**8):
    zeros += press.compress(bytes(2**20))
zeros += press.flush()  # 256 MB in a few kilobytes
resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = ('["planes", 1, %d, {n}]', '["planes", 8, %d, {n}]', '["bits", 3, -4, %d, {n}]',
        '["sparse", %d, {n}, ["ans", 5, 9]]',
        '["gaps", %d, 7, {n}, ["ans", 5, 9]]', '["gaps", 7, %d, {n}, ["ans", 5, 9]]', '["ans", %d, {n}]')
cases = 0
for row in rows:
    for claimed in (0, 1, 2**20, 2**27, 2**40, 2**62, -1, 10**300):
        for size in (0, 1, 2**20, 2**31, 2**32 - 1):
            head = '{{"streams": [{0}], "holes": [[0, 0]]}}\\n'.format(row.format(n=len(zeros)) % claimed).encode()
            for packed, raw in ((head, len(head)), (zeros, 2**20), (zeros, 2**31), (zeros, 2**32 - 1)):
                if size == 2**31 and claimed == 2**27:
                    continue  # a file that says what it holds may take it
                fixed = decoder.HEADER.pack(decoder.MAGIC, decoder.VERSION, bytes(32), size, raw, len(packed))
                cases += 1
                try:
                    decoder.decode(fixed + packed + zeros)
                except ValueError as problem:
                    assert "\\n" not in str(problem), problem
                else:
                    raise SystemExit("a bomb was decoded")
print(cases, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def test_packed_files_that_claim_or_hold_a_flood(tmp_path: Path) -> None:
    """In a process that may not take 1 GB: sizes that lie, zstd frames that unfold to 256 MB."""
    from engine.artifact import decoder

    command = [sys.executable, "-c", BOMBS, str(decoder.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-600:]
    cases, grown = map(int, done.stdout.split())
    assert cases > 1000
    assert grown < 64e6
