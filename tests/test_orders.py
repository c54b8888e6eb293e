"""Ready-made sweeps: all of them can run, and the four orders differ in the order only."""

from __future__ import annotations

import pytest

from engine import api_sweeps, catalogue
from engine.errors import InputError
from engine.home import Home
from engine.recipe import Recipe
from engine.search import orders, space

TASK = "fashion_mnist"


@pytest.mark.parametrize("ready", orders.ready(TASK), ids=lambda r: r.name)
def test_a_ready_made_sweep_leaves_nothing_out(ready: orders.Ready, home: Home) -> None:
    plan = api_sweeps.plan(home, ready.spec)
    assert plan["trials"] == plan["combinations"] > 1
    assert plan["left_out"] == 0
    assert plan["seconds"] < 15 * 60
    assert ready.title.endswith("?")
    assert ready.help.endswith((".", "?"))


def test_names_are_different_and_an_unknown_task_is_refused() -> None:
    names = [r["name"] for r in api_sweeps.ready(TASK)]
    assert len(set(names)) == len(names)
    assert "orders" in names
    with pytest.raises(InputError):
        api_sweeps.ready("fashion")


def test_the_four_orders_train_equally_long_and_end_alike() -> None:
    found = orders.orders({"name": "kd"}, ["teacher"])
    recipes = {n: Recipe.from_json({"task": TASK, "student": "plain_5k", "phases": p}) for n, p in found.items()}
    assert list(recipes) == ["distil, then compress", "compress, then distil", "jointly", "in turns"]
    assert {sum(p.epochs for p in r.phases) for r in recipes.values()} == {orders.EPOCHS}
    for recipe in recipes.values():
        pruned = [s for s in recipe.stages if s.name == "prune_magnitude"]
        assert pruned[-1].get("sparsity") == orders.SPARSITY == max(s.get("sparsity") for s in pruned)
        assert [s.get("bits") for s in recipe.stages if s.name == "quantize_linear"] == [orders.BITS]
        assert recipe.stages[-1].name == "recalibrate"
        assert sum(s.name == "recalibrate" for s in recipe.stages) == 1
    taught = {n: [bool(p.teachers) for p in r.phases] for n, r in recipes.items()}
    assert taught["distil, then compress"] == [True, False]
    assert taught["compress, then distil"] == [False, True]
    assert all(taught["jointly"] + taught["in turns"])
    assert len(recipes["in turns"].phases) == 4
    assert len({r.key for r in recipes.values()}) == 4


def test_the_ready_made_orders_are_these_four() -> None:
    ready = next(r for r in orders.ready(TASK) if r.name == "orders")
    loss = catalogue.current().row("tasks", TASK)["default"]["phases"][0]["loss"]
    points = space.read(ready.spec).points()
    assert {p.setting["order"] for p in points} == set(orders.orders(loss, ["teacher"]))


def test_small_students_are_of_the_usual_family_and_small() -> None:
    ready = next(r for r in orders.ready(TASK) if r.name == "sizes")
    rows = catalogue.current().rows["models"]
    names = ready.spec["student"]
    assert len(names) == 4
    assert all(rows[name]["parameters"] <= orders.SMALL and name.startswith("plain") for name in names)
