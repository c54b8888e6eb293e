"""The table of results without a page: columns, filters, order, pages, downloads. Plain data in, plain data out."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

Row: TypeAlias = Mapping[str, Any]
Marks: TypeAlias = Mapping[str, Mapping[str, Any]]
PAGE_ROWS = 100
MOST_CHOSEN, MOST_COMPARED = 200, 4
ALL, MINE, STARRED = "all", "mine", "starred"
WHOSE = (ALL, MINE, STARRED)
# filters by name with the field of a row that each one reads
FILTERS = {"origins": "origin", "students": "student", "losses": "loss", "methods": "pruning", "widths": "bits"}
RISKY = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs text that begins like this
SHORTEST_KEY = 4  # digits that can only be meant as the beginning of a key
SEARCHED = ("student", "teacher", "loss", "pruning", "schedule", "machine", "role", "origin")


@dataclass(frozen=True)
class Column:
    """One column: the row's field, and ``kind``: text, share, bytes, ms, count, number, seconds, time, flag or mark."""

    name: str
    kind: str

    @property
    def numeric(self) -> bool:
        """Whether larger values come first when somebody sorts by it."""
        return self.kind not in ("text", "mark")


COLUMNS = {name: Column(name, kind) for kind, names in {
    "text": ("key", "task", "origin", "role", "student", "teacher", "loss", "pruning", "schedule", "data", "metric",
             "machine", "runtime", "cause", "note", "dense_key"),
    "mark": ("stars",),
    "share": ("quality", "quality_low", "quality_high", "sparsity"),
    "bytes": ("packed_bytes", "onnx_bytes"),
    "ms": ("latency_ms", "latency_low_ms", "latency_high_ms", "latency32_ms"),
    "count": ("parameters", "nonzero", "macs", "labels", "epochs", "bits", "seed"),
    "number": ("temperature", "weight", "ratio"),
    "seconds": ("seconds",),
    "time": ("created",),
    "flag": ("simulated", "slower_here", "preview"),
}.items() for name in names}  # fmt: skip
DEFAULT = ("key", "stars", "student", "loss", "pruning", "sparsity", "bits", "quality", "packed_bytes", "latency_ms",
           "origin", "created", "note")  # fmt: skip
FIRST = ("key", "stars", "student", "role")  # whatever is chosen, these lead, in this order
EXPORTED = tuple(COLUMNS)


@dataclass(frozen=True)
class View:
    """What a person has chosen to see; every field has a place in the address."""

    task: str
    find: str = ""
    whose: str = ALL
    origins: tuple[str, ...] = ()
    students: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    sweeps: tuple[str, ...] = ()
    columns: tuple[str, ...] = DEFAULT
    sort: str = "created"
    down: bool = True
    page: int = 1
    chosen: tuple[str, ...] = ()
    beside: bool = False

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the table."""
        return bool(self.find or self.whose != ALL or self.sweeps or any(getattr(self, name) for name in FILTERS))


@dataclass(frozen=True)
class Index:
    """All rows of a task made ready: what each filter offers, each row's words in lower case, keys by 12 digits."""

    rows: Sequence[Row]
    options: Mapping[str, tuple[Any, ...]]
    words: Mapping[str, str] = field(repr=False)
    short: Mapping[str, str] = field(repr=False)
    by_key: Mapping[str, Row] = field(repr=False)


def index(rows: Sequence[Row]) -> Index:
    """Made once a change of the results (about 50 ms for 20,000 rows), then shared by every rerun."""
    options = {name: _sorted({row.get(source) for row in rows} - {None}) for name, source in FILTERS.items()}
    words = {row["key"]: _words(row) for row in rows}
    return Index(rows, options, words, {key[:12]: key for key in words}, {row["key"]: row for row in rows})


def select(
    known: Index, view: View, mine: Collection[str], marks: Marks, swept: Collection[str] | None = None
) -> list[Row]:
    """The rows that pass every filter of ``view``, in the order of the index.

    ``mine``: keys that this person asked for; ``swept``: keys of the chosen sweeps (only read where there are some).
    """
    kept: Iterable[Row] = known.rows
    if view.whose == MINE:
        kept = [r for r in kept if r["key"] in mine]
    elif view.whose == STARRED:
        kept = [r for r in kept if marks.get(r["key"], {}).get("mine")]
    if view.sweeps:
        kept = [r for r in kept if r["key"] in (swept or ())]
    for name, source in FILTERS.items():
        if wanted := set(getattr(view, name)):
            kept = [r for r in kept if r.get(source) in wanted]
    for word in view.find.lower().split():
        kept = [r for r in kept if _found(word, r["key"], known, marks)]
    return list(kept)


def ordered(rows: Iterable[Row], sort: str, down: bool, marks: Marks) -> list[Row]:
    """Sorted by one column; what has no value comes last either way, equal ones keep the order of their keys."""
    column = COLUMNS[sort]

    def value(row: Row) -> Any:
        if sort in ("stars", "note"):
            return marks.get(row["key"], {}).get("stars", 0) if sort == "stars" else note_of(marks, row["key"]) or None
        return _when(row["created"]) if column.kind == "time" else row.get(sort)

    pairs = [(value(row), row) for row in sorted(rows, key=lambda r: r["key"])]
    there = sorted((p for p in pairs if p[0] is not None), key=lambda p: p[0], reverse=down)
    return [row for _, row in there] + [row for found, row in pairs if found is None]


def pages(count: int) -> int:
    """How many pages ``count`` rows fill; at least 1."""
    return max(1, -(-count // PAGE_ROWS))


def page_of(rows: Sequence[Row], number: int) -> Sequence[Row]:
    """The rows of one page, counted from 1; the last page for a number beyond it."""
    start = (min(max(number, 1), pages(len(rows))) - 1) * PAGE_ROWS
    return rows[start : start + PAGE_ROWS]


def shown(columns: Iterable[str]) -> tuple[str, ...]:
    """Columns in a fixed order, the key always among them."""
    wanted = {"key", *columns}
    order = [*FIRST, *(c for c in DEFAULT if c not in FIRST), *(c for c in COLUMNS if c not in (*FIRST, *DEFAULT))]
    return tuple(c for c in order if c in wanted)


def note_of(marks: Marks, key: str) -> str:
    """All notes on a trial in one line."""
    notes = marks.get(key, {}).get("notes", ())
    named = [f"{n['name']}: {n['note']}" if n.get("name") and len(notes) > 1 else str(n["note"]) for n in notes]
    return " | ".join(" ".join(text.split()) for text in named)


def csv_bytes(rows: Iterable[Row], marks: Marks) -> bytes:
    """A table for spreadsheets: every field, UTF-8 with a mark that Excel needs; no text is run as a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EXPORTED)
    for row in rows:
        writer.writerow([_safe(value) for value in _values(row, marks)])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def parquet_bytes(rows: Iterable[Row], marks: Marks) -> bytes:
    """The same as a Parquet file with typed columns (float64, int64, bool, text); times are UTC timestamps."""
    table = list(zip(*(_values(row, marks) for row in rows), strict=True)) or [()] * len(EXPORTED)
    arrays = [_array(COLUMNS[name], values) for name, values in zip(EXPORTED, table, strict=True)]
    out = io.BytesIO()
    pq.write_table(pa.table(arrays, names=list(EXPORTED)), out, compression="zstd")
    return out.getvalue()


def _values(row: Row, marks: Marks) -> list[Any]:
    own = {"stars": marks.get(row["key"], {}).get("stars", 0), "note": note_of(marks, row["key"])}
    return [own[name] if name in own else row.get(name) for name in EXPORTED]


def _array(column: Column, values: Sequence[Any]) -> pa.Array:
    if column.kind == "time":
        return pa.array([None if v is None else int(_when(v) * 1000) for v in values], pa.timestamp("ms", "UTC"))
    if column.kind == "flag":
        return pa.array([None if v is None else bool(v) for v in values], pa.bool_())
    if column.kind in ("bytes", "count", "mark"):
        return pa.array([None if v is None else int(v) for v in values], pa.int64())
    if column.numeric:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([None if v is None else str(v) for v in values], pa.string())


def _safe(value: Any) -> Any:
    return "'" + value if isinstance(value, str) and value.startswith(RISKY) else value


def _found(word: str, key: str, known: Index, marks: Marks) -> bool:
    begun = len(word) >= SHORTEST_KEY and key.startswith(word)
    return begun or word in known.words[key] or (key in marks and word in note_of(marks, key).lower())


def _words(row: Row) -> str:
    return " ".join(str(row[name]).lower() for name in SEARCHED if row.get(name) is not None)


def _sorted(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(values, key=lambda v: (isinstance(v, str), v)))


def _when(created: Any) -> float:
    """Seconds since 1970, also of a shipped result's date."""
    if isinstance(created, int | float):
        return float(created)
    import datetime

    try:
        return datetime.datetime.fromisoformat(str(created)).replace(tzinfo=datetime.UTC).timestamp()
    except ValueError:
        return 0.0
