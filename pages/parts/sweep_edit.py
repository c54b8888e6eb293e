"""What can be done to a draft, each as a pure function that gives the next draft; and what is wrong with one, in place.

No Streamlit here. A move is never forbidden (on the way from one good order to another there may be a bad one): what
cannot be trained is said at the stage or phase where it stands, and the sweep cannot start until it is put right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine import catalogue
from engine.knobs import Knob
from engine.recipe import MAX_PHASES, MAX_SEED, ORDERS
from pages.parts import catalogue_words, sweep_json
from pages.parts import sweep_draft as drafts
from pages.parts.sweep_draft import EACH, LIST, LOG, LOSSES, ONE, ORDER, PHASE, RANGE, STAGES, Draft, Node, Setting
from pages.parts.words import say

MOST_ORDERS = 12
MOST_PIECES = 12


def find(draft: Draft, uid: int) -> Node | None:
    """The node with a number, None when it is not there any more."""
    return next((n for n in drafts.walk(draft.root) if n.uid == uid), None)


def change(draft: Draft, uid: int, how: Callable[[Node], Node]) -> Draft:
    """The draft with one node replaced; the same draft when that node is gone."""
    return replace(draft, root=_changed(draft.root, uid, how))


def put(draft: Draft, uid: int, name: str, setting: Setting) -> Draft:
    """The draft with one setting of one node replaced."""

    def with_setting(node: Node) -> Node:
        return replace(node, settings=tuple((k, setting if k == name else s) for k, s in node.settings))

    return change(draft, uid, with_setting)


def option(draft: Draft, name: str, value: Any) -> Draft:
    """The draft with one option of the sweep replaced."""
    return replace(draft, options=tuple((k, value if k == name else v) for k, v in draft.options))


def seeds_of(draft: Draft) -> int:
    """How many seeds every setting runs with; 0 while what is typed there is no seed."""
    setting, knob = draft.root.get("seed"), drafts.knobs_of(draft.root, draft.task)["seed"]
    return 0 if drafts.wrong(setting, knob) else len(drafts.expand(setting, knob))


def with_seeds(draft: Draft, count: int) -> Draft:
    """The draft with ``count`` seeds from its first one on (the first below the largest that still leaves room)."""
    first = min(int(draft.root.get("seed").first or 0), MAX_SEED + 1 - count)
    values = tuple(range(first, first + count))
    return put(draft, draft.root.uid, "seed", Setting(LIST if count > 1 else ONE, values))


def rename(draft: Draft, uid: int, name: str) -> Draft:
    """The draft with another label on one order."""
    return change(draft, uid, lambda n: replace(n, name=name))


def remove(draft: Draft, uid: int) -> Draft:
    """The draft without a node. The last phase of an order and the last order stay."""
    parent = parent_of(draft, uid)
    node = find(draft, uid)
    if parent is None or node is None or (node.kind in (ORDER, PHASE) and len(parent.only(node.kind)) == 1):
        return draft
    return change(draft, parent.uid, lambda n: replace(n, nodes=tuple(c for c in n.nodes if c.uid != uid)))


def move(draft: Draft, uid: int, by: int) -> Draft:
    """The draft with a node moved among its siblings of the same kind, as far as there are any."""
    parent, node = parent_of(draft, uid), find(draft, uid)
    if parent is None or node is None:
        return draft
    same = [n for n in parent.only(node.kind) if n.uid != uid]
    place = min(max(parent.only(node.kind).index(node) + by, 0), len(same))
    others = [n for n in parent.nodes if n.kind != node.kind]
    return change(draft, parent.uid, lambda n: replace(n, nodes=(*others, *same[:place], node, *same[place:])))


def add(draft: Draft, parent: int, kind: str, name: str) -> Draft:
    """The draft with a loss or stage, by the catalogue's name and with its defaults, at the end of a phase."""
    node = find(draft, parent)
    if node is None or len(node.only(kind)) >= MOST_PIECES:
        return draft
    new = drafts.piece(_next(draft), kind, name)
    return change(draft, parent, lambda n: replace(n, nodes=(*n.nodes, new)))


def add_phase(draft: Draft, order: int, row: Mapping[str, Any]) -> Draft:
    """The draft with a phase, given as the JSON of a recipe, at the end of an order."""
    node = find(draft, order)
    if node is None or len(node.nodes) >= MAX_PHASES:
        return draft
    new = sweep_json.from_json(PHASE, [row], draft.task, _next(draft))
    return change(draft, order, lambda n: replace(n, nodes=(*n.nodes, *new)))


def add_order(draft: Draft, like: int) -> Draft:
    """The draft with a copy of an order after it, to be changed and compared."""
    node = find(draft, like)
    if node is None or len(draft.root.nodes) >= MOST_ORDERS:
        return draft
    fresh = iter(range(_next(draft), 10**9))
    copy = replace(_renumbered(node, fresh), name="")
    place = draft.root.nodes.index(node) + 1
    nodes = (*draft.root.nodes[:place], copy, *draft.root.nodes[place:])
    named = tuple(replace(n, name=n.name or say("sweep_form.order", number=i)) for i, n in enumerate(nodes, 1))
    return replace(draft, root=replace(draft.root, nodes=named))


def with_mode(setting: Setting, mode: str, knob: Knob) -> Setting:
    """The setting in another mode, keeping what it stood for as far as that goes."""
    usable = drafts.wrong(setting, knob) is None
    values = drafts.expand(setting, knob) if usable else (knob.default,)
    if mode == ONE:
        return Setting(ONE, values[:1])
    if mode == LIST:
        return Setting(LIST, values)
    numbers = [float(v) for v in values if v is not None] or [float(knob.low or 0)]
    low, high = min(numbers), max(numbers)
    if low == high:
        low, high = _around(low, knob)
    if mode == LOG and low <= 0:
        low = float(knob.low) if (knob.low or 0) > 0 else high / 100
    count = setting.count if setting.mode in (RANGE, LOG) else max(3, len(numbers))
    return Setting(mode, (), low, high, count)


def modes(knob: Knob) -> tuple[str, ...]:
    """The ways in which a knob can take values: words only one or several, numbers also ranges."""
    ranges = (RANGE, LOG) if knob.type in ("int", "float") else ()
    return (ONE, LIST, *ranges)


def problems(draft: Draft) -> dict[int, str]:
    """What cannot be trained whatever the values, in one line by the number of the node where it stands."""
    found: dict[int, str] = {}
    for order in draft.root.nodes:
        for uid, problem in (*_disorder(order), *(p for phase in order.nodes for p in _untrainable(phase))):
            found.setdefault(uid, problem)
    return found


def faults(draft: Draft) -> list[str]:
    """Why a draft cannot start: problems of order, with the place, and settings that hold nothing usable."""
    found = []
    said = problems(draft)
    for number, order in enumerate(draft.root.nodes, 1):
        name = order.name or say("sweep_form.order", number=number)
        several = len(draft.root.nodes) > 1
        found += [f"{name}: {said[n.uid]}" if several else said[n.uid] for n in drafts.walk(order) if n.uid in said]
    for node in drafts.walk(draft.root):
        knobs = drafts.knobs_of(node, draft.task)
        wrong = {n: drafts.wrong(s, knobs[n]) for n, s in node.settings if n in knobs}
        found += [say("sweep_form.fault", place=n, problem=problem) for n, problem in wrong.items() if problem]
    return list(dict.fromkeys(found))


def axes(draft: Draft) -> int:
    """How many settings take several values (orders count as one)."""
    many = [s for n in drafts.walk(draft.root) for s in dict(n.settings).values() if s.mode in (LIST, RANGE, LOG, EACH)]
    return len(many) + (len(draft.root.nodes) > 1)


def parent_of(draft: Draft, uid: int) -> Node | None:
    """The node that holds another one."""
    return next((n for n in drafts.walk(draft.root) if any(c.uid == uid for c in n.nodes)), None)


def _changed(node: Node, uid: int, how: Callable[[Node], Node]) -> Node:
    if node.uid == uid:
        return how(node)
    return replace(node, nodes=tuple(_changed(n, uid, how) for n in node.nodes)) if node.nodes else node


def _renumbered(node: Node, fresh: Iterator[int]) -> Node:
    return replace(node, uid=next(fresh), nodes=tuple(_renumbered(n, fresh) for n in node.nodes))


def _next(draft: Draft) -> int:
    return max(n.uid for n in drafts.walk(draft.root)) + 1


def _around(value: float, knob: Knob) -> tuple[float, float]:
    """A range to begin with: from the value to the knob's upper bound, or to its double."""
    high = min(v for v in (knob.high, max(1.0, 4 * value)) if v is not None)
    return (value, float(high)) if high > value else (float(knob.low or 0), value)


def _disorder(order: Node) -> Iterator[tuple[int, str]]:
    """Stages that come after one that must follow them, over all phases of an order."""
    last: Node | None = None
    for stage in (s for phase in order.nodes for s in phase.only(STAGES)):
        if last is not None and _rank(stage) < _rank(last):
            rank, other = (say(f"sweep_rank.{ORDERS[_rank(s)]}") for s in (stage, last))
            yield (
                stage.uid,
                say("sweep_form.disorder", stage=_title(stage), earlier=_title(last), rank=rank, other=other),
            )
        else:
            last = stage


def _untrainable(phase: Node) -> Iterator[tuple[int, str]]:
    epochs = phase.get("epochs")
    trains = epochs.mode != ONE or bool(epochs.first)
    losses, stages = phase.only(LOSSES), phase.only(STAGES)
    if not trains and not stages:
        yield phase.uid, say("sweep_form.idle")
    if not trains and losses:
        yield losses[0].uid, say("sweep_form.loss_without_epochs")
    needy = [p for p in losses if catalogue.current().row(LOSSES, p.name).get("needs_teacher")]
    if trains and needy and not phase.get("teachers").values:
        yield needy[0].uid, say("sweep_form.no_teacher", loss=_title(needy[0]))
    if not trains:
        for stage in filter(_always_trains, stages):
            yield stage.uid, say("sweep_form.stage_without_epochs", stage=_title(stage))


def _always_trains(stage: Node) -> bool:
    """Whether every value of a stage's settings acts while training."""
    needs = catalogue.current().row(STAGES, stage.name).get("needs_epochs", {})
    return any(name in dict(stage.settings) and _all_in(stage.get(name), words) for name, words in needs.items())


def _all_in(setting: Setting, words: Sequence[str]) -> bool:
    return bool(setting.values) and all(v in words for v in setting.values)


def _rank(stage: Node) -> int:
    return ORDERS.index(catalogue.current().row(STAGES, stage.name)["order"])


def _title(node: Node) -> str:
    return catalogue_words.title_of(node.kind, node.name)
