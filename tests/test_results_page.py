"""The table of results without a page: filters, order, address, downloads, differences; its two figures."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pyarrow.parquet as pq
import pytest
from figure_rows import many, row
from house_tools import put

from engine import api, api_keep, api_people, api_table, figures
from engine.api_home import store_of
from engine.home import Home
from pages.parts import results_compare, results_link, results_table
from pages.parts.results_table import COLUMNS, DEFAULT, EXPORTED, View
from pages.parts.words import find

TASK = "fashion_mnist"
ROWS = [
    row(1, student="plain_5k", bits=8, origin="grid", quality=0.88, packed_bytes=5000),
    row(2, student="plain_10k", bits=4, quality=0.90, latency_ms=None),
    row(3, student="plain_10k", bits=32, pruning="none", loss="cross_entropy", quality=0.86, machine="a laptop"),
    row(4, student="plain_29k", bits=8, origin="shipped", quality=0.91, created="2026-01-02"),
]
KEYS = [r["key"] for r in ROWS]
MARKS = {KEYS[1]: {"stars": 2, "mine": True, "notes": [{"who": "a", "name": "Ada", "note": "Best\nso far", "at": 1.0}]}}


def chosen(**filters: Any) -> list[int]:
    """Numbers of the rows that pass."""
    known = results_table.index(ROWS)
    found = results_table.select(known, View(TASK, **filters), {KEYS[0]}, MARKS, {KEYS[3]})
    return [KEYS.index(r["key"]) + 1 for r in found]


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [1, 2, 3, 4]), ({"students": ("plain_10k",)}, [2, 3]), ({"widths": (8, 4)}, [1, 2, 4]),
        ({"origins": ("shipped", "grid")}, [1, 4]), ({"losses": ("kd",), "widths": (8,)}, [1, 4]),
        ({"methods": ("none",)}, [3]), ({"whose": "mine"}, [1]), ({"whose": "starred"}, [2]), ({"sweeps": ("x",)}, [4]),
        ({"find": "LAPTOP plain"}, [3]), ({"find": "so best"}, [2]), ({"find": "laptop 29k"}, []),
        ({"find": KEYS[3][:31]}, [1, 2, 3, 4]), ({"find": KEYS[3]}, [4]), ({"find": "2"}, [4]),
    ],
)  # fmt: skip
def test_filters(filters: dict[str, Any], numbers: list[int]) -> None:
    assert chosen(**filters) == numbers


def test_every_filter_offers_what_there_is() -> None:
    options = results_table.index(ROWS).options
    assert options["widths"] == (4, 8, 32)
    assert options["students"] == ("plain_10k", "plain_29k", "plain_5k")
    assert set(options) == set(results_table.FILTERS)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("sort", sorted(COLUMNS))
def test_every_column_sorts_and_what_has_no_value_comes_last(sort: str, down: bool) -> None:
    found = results_table.ordered(ROWS, sort, down, MARKS)
    assert sorted(r["key"] for r in found) == sorted(KEYS)
    if sort == "latency_ms":
        assert found[-1]["key"] == KEYS[1]
    if sort == "quality":
        assert [KEYS.index(r["key"]) + 1 for r in found] == ([4, 2, 1, 3] if down else [3, 1, 2, 4])
    if sort == "created" and down:
        assert found[0]["key"] == KEYS[3], "a shipped result's date is among the times"
    if sort == "note":
        assert found[0]["key"] == KEYS[1]


def test_pages_of_rows() -> None:
    rows = many(results_table.PAGE_ROWS * 2 + 1)
    assert results_table.pages(len(rows)) == 3
    assert results_table.pages(0) == 1
    assert len(results_table.page_of(rows, 1)) == results_table.PAGE_ROWS
    assert list(results_table.page_of(rows, 3)) == rows[-1:]
    assert results_table.page_of(rows, 99) == results_table.page_of(rows, 3)


def test_csv_holds_every_number_and_runs_nothing() -> None:
    marks = {KEYS[0]: {"stars": 1, "mine": False, "notes": [{"name": "", "note": "=1+1", "who": "x", "at": 0}]}}
    data = results_table.csv_bytes([{**ROWS[0], "ratio": -0.5}, ROWS[3]], marks)
    assert data.startswith(b"\xef\xbb\xbf")
    read = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [float(r["quality"]) for r in read] == [0.88, 0.91]
    assert read[0]["note"] == "'=1+1"
    assert read[0]["ratio"] == "-0.5", "a number may be below zero"
    assert read[1]["temperature"] == "4.0"
    assert list(read[0]) == list(EXPORTED)


def test_parquet_keeps_types_and_values() -> None:
    table = pq.read_table(io.BytesIO(results_table.parquet_bytes(ROWS, MARKS)))
    assert table.num_rows == 4
    found = table.to_pylist()
    for name, kind in (("quality", "double"), ("packed_bytes", "int64"), ("simulated", "bool"), ("key", "string")):
        assert str(table.schema.field(name).type) == kind
    assert [r["quality"] for r in found] == [r["quality"] for r in ROWS]
    assert found[1]["latency_ms"] is None
    assert found[1]["note"] == "Best so far"
    assert found[3]["created"].isoformat().startswith("2026-01-02T00:00")
    assert pq.read_table(io.BytesIO(results_table.parquet_bytes([], {}))).num_rows == 0


class TestAddress:
    OPTIONS = {"task": [TASK, "digits"], "sweeps": ["ab12"], **results_table.index(ROWS).options}

    @pytest.mark.parametrize("view", [
        View(TASK), View("digits", page=4), View(TASK, find="plain laptop", whose="starred"),
        View(TASK, origins=("grid", "trial"), widths=(4, 32), students=("plain_5k",), sweeps=("ab12",)),
        View(TASK, columns=("key", "student", "macs"), sort="quality", down=False),
        View(TASK, sort="student", down=True), View(TASK, chosen=("0123456789ab", "fedcba987654"), beside=True),
    ])  # fmt: skip
    def test_there_and_back(self, view: View) -> None:
        assert results_link.read(results_link.write(view, self.OPTIONS["task"]), self.OPTIONS) == (view, [])

    def test_the_plain_table_has_a_plain_address(self) -> None:
        assert results_link.write(View(TASK), [TASK]) == {}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("task", "x"), ("whose", "theirs"), ("students", "plain_5k.nobody"), ("widths", "eight"), ("sort", "-nothing"),
         ("columns", "secret"), ("page", "0"), ("page", "-1"), ("page", "1e9"), ("chosen", "../../x"),
         ("sweeps", "zz")],
    )  # fmt: skip
    def test_what_is_wrong_falls_back_and_is_named(self, name: str, value: str) -> None:
        view, bad = results_link.read({name: value}, self.OPTIONS)
        (problem,) = bad
        assert f"URL: {name}" in problem
        plain = View(TASK, students=("plain_5k",)) if name == "students" else View(TASK)
        assert view == plain


def test_columns_keep_their_order_and_the_key() -> None:
    assert results_table.shown(("quality", "student")) == ("key", "student", "quality")
    assert results_table.shown(reversed(DEFAULT)) == DEFAULT


def test_every_column_has_words() -> None:
    assert [c for c in COLUMNS if not find(f"results_column.{c}") or not find(f"results_meaning.{c}")] == []


def test_twenty_thousand_rows_stay_quick() -> None:
    rows = many(20_000)
    known = results_table.index(rows)
    view = View(TASK, find="plain_10k kd", widths=(4, 8), origins=("grid",), sort="quality")
    started = time.perf_counter()
    found = results_table.ordered(results_table.select(known, view, (), {}), view.sort, view.down, {})
    spent = time.perf_counter() - started
    assert 5000 < len(found) < 15_000
    assert spent < 0.5, f"{spent:.3f} s; 0.05 s on an idle machine"


class TestDifferences:
    def test_only_what_differs_is_told(self) -> None:
        base = api.default_recipe(TASK)
        other = api.check({**base, "student": "plain_5k", "seed": 3}).to_json()
        assert dict(results_compare.differences([base, other])) == {
            ("student",): (base["student"], "plain_5k"), ("seed",): (0, 3)}  # fmt: skip
        assert results_compare.differences([base, base]) == []

    def test_knobs_of_parts_and_parts_that_one_lacks(self) -> None:
        base = api.default_recipe(TASK)
        warmer = api.check(
            {**base, "phases": [{**base["phases"][0], "loss": {"name": "kd", "temperature": 2}}]}
        ).to_json()
        found = dict(results_compare.differences([base, warmer]))
        assert found[(0, "loss", "kd", 0, "temperature")] == (4.0, 2.0)
        lost = found[(1, "stages", "quantize_linear", 0, "")]
        assert lost[0]["bits"] == 8
        assert lost[1] is None
        assert not [p for p in found if p[-1] == "bits"], "a part that is lacking is one line"
        assert list(found) == sorted(found, key=lambda p: p[0] if len(p) > 1 else -1)

    def test_times_of_several_machines_do_not_compare(self) -> None:
        assert not results_compare.differ_in_machine([row(1), row(2)])
        assert results_compare.differ_in_machine([row(1), row(2, machine="there")])
        assert not results_compare.differ_in_machine([row(1), row(2, machine="there", latency_ms=None)])


class TestFigures:
    CURVES = ([{"epoch": 1, "loss": 1.0, "quality": 0.5}, {"epoch": 2, "loss": 0.5, "quality": 0.7}], [],
              [{"epoch": 1, "loss": 1.0, "quality": float("nan")}])  # fmt: skip

    def test_curves(self) -> None:
        info = figures.compare_info(self.CURVES)
        assert [line.letter for line in info.lines] == ["A", "B", "C"]
        assert info.lines[0].qualities == (0.5, 0.7)
        assert info.lines[2].qualities == (None,)
        drawn = figures.compare_figure(info, "dark")
        assert (
            len({t["marker"]["symbol"] for t in drawn["data"]}) == len({t["line"]["dash"] for t in drawn["data"]}) == 3
        )
        assert "70.0 %" in figures.alt_compare(info)

    def test_gaps(self) -> None:
        found = figures.gaps_info([{"difference": 0.01, "low": 0.002, "high": 0.018},
                                   {"difference": -0.02, "low": None, "high": None}])  # fmt: skip
        drawn = figures.gaps_figure(found)
        first, second = drawn["data"]
        assert first["x"] == [pytest.approx(1.0)]
        assert first["error_x"]["array"] == [pytest.approx(0.8)]
        assert first["error_x"]["arrayminus"] == [pytest.approx(0.8)]
        assert "error_x" not in second
        low, high = drawn["layout"]["xaxis"]["range"]
        assert low < -2 < 1.8 < high
        assert figures.alt_gaps(found) == (
            "B is +1.00 points from A, interval +0.20 to +1.80. C is -2.00 points from A, without an interval."
        )


class TestWho:
    def test_mine_are_the_trials_and_grid_points_that_i_asked_for(self, home: Home) -> None:
        api_people.remember(home, "ada")
        one, two = put(home, 1, who="ada"), put(home, 2, who="bob")
        assert api_table.mine(home, "ada") == {one}
        assert api_table.mine(home, "bob") == {two}
        assert api_table.mine(home, "eve") == frozenset()

    def test_a_sweeps_trials(self, home: Home) -> None:
        key = put(home, 1)
        with store_of(home).change() as db:
            for name, created in (("ab", 1), ("cd", 2)):
                db.execute("INSERT INTO sweeps (id, name, task, spec, who, state, trials, created) VALUES "
                           "(?, ?, ?, '{}', 'local', 'paused', 1, ?)", (name, name.upper(), TASK, created))  # fmt: skip
            db.execute("INSERT INTO sweep_trials VALUES ('ab', 0, ?, '{}')", (key,))
        assert api_table.sweeps(home, TASK) == {"cd": "CD", "ab": "AB"}
        assert api_table.swept(home, ["ab"]) == {key}
        assert api_table.swept(home, ["cd"]) == frozenset()

    def test_the_version_changes_with_every_result_and_removal(self, home: Home) -> None:
        seen = [api_table.version(home)]
        key = put(home, 1)
        seen.append(api_table.version(home))
        api_keep.delete(home, [key], "local", True)
        seen.append(api_table.version(home))
        assert len(set(seen)) == 3
        assert api_table.version(home) == seen[-1]
