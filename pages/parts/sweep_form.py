"""The form of a sweep: what its trials share, orders of phases, and in each phase epochs, losses, teachers, stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from engine import catalogue
from engine.api_statistics import USUAL_SEEDS
from pages.parts import catalogue_words, control, extras, sweep_draft, sweep_edit, sweep_state
from pages.parts.sweep_cells import cell, label_of, rare
from pages.parts.sweep_draft import EACH, LOSSES, ONE, STAGES, TOGETHER, Draft, Node, Setting
from pages.parts.sweep_state import ORDER
from pages.parts.words import say

ADDED = ("taught", "plain", "compress")
COMPRESS = ("quantize_linear", "recalibrate")


def editor(draft: Draft, problems: Mapping[int, str]) -> None:
    """Everything that the recipe of a sweep's trials is made of."""
    with control.container(border=True, key="sweep_shared"):
        st.html(f'<h2 class="sh-title">{escape(say("sweep_form.shared"))}</h2>')
        _task(draft)
        _cells(draft.root, draft.task, sweep_draft.shared(draft.task))
        _seeds(draft)
    order = _orders(draft)
    for number, phase in enumerate(order.nodes, 1):
        _phase(draft, order, phase, number, problems)
    _add_phase(draft, order)


def _seeds(draft: Draft) -> None:
    """A tick that makes each setting run with several seeds, so that its mean has an interval."""
    chosen = sweep_edit.seeds_of(draft) >= USUAL_SEEDS
    place = sweep_state.hold("sweep_seeds", chosen)
    control.toggle(say("sweep_form.seeds", count=USUAL_SEEDS), key=place, on_change=_seeds_changed,
                   help=say("sweep_form.seeds_help", count=USUAL_SEEDS))  # fmt: skip


def _seeds_changed() -> None:
    sweep_state.edit(sweep_edit.with_seeds, USUAL_SEEDS if st.session_state["sweep_seeds"] else 1)


def _task(draft: Draft) -> None:
    tasks = catalogue.current().names("tasks")
    if len(tasks) > 1:
        place = sweep_state.hold("sweep_task", draft.task)
        control.selectbox(label_of("task"), tasks, key=place, help=say("sweep_help.task"), format_func=_task_title,
                          on_change=_task_changed)  # fmt: skip


def _task_changed() -> None:
    sweep_state.choose_task(st.session_state["sweep_task"])


def _task_title(name: str) -> str:
    return catalogue_words.title_of("tasks", name)


def _cells(node: Node, task: str, names: Sequence[str]) -> None:
    """Cells in rows of two."""
    for i in range(0, len(names), 2):
        for column, name in zip(st.columns(2, gap="medium"), names[i : i + 2], strict=False):
            with column:
                cell(node, task, name)


def _orders(draft: Draft) -> Node:
    """The order of phases that the form shows; several are chosen from, named, copied and removed here."""
    orders = draft.root.nodes
    chosen = int(extras.settle(sweep_state.PAGE, ORDER, range(1, len(orders) + 1), 1))
    shown = orders[chosen - 1]
    if len(orders) == 1:
        return shown
    with control.container(border=True, key="sweep_orders"):
        place = sweep_state.hold("sweep_order", shown.uid)
        names = {n.uid: n.name or say("sweep_form.order", number=i) for i, n in enumerate(orders, 1)}
        control.segmented_control(say("sweep_form.orders"), list(names), key=place, help=say("sweep_form.orders_help"),
                                  format_func=names.__getitem__, required=True, on_change=_order_chosen)  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="bottom"):
            _order_name(shown, names[shown.uid])
            _order_buttons(shown, len(orders))
    return shown


def _order_chosen() -> None:
    _show(st.session_state["sweep_order"])


def _show(uid: int) -> None:
    """Show the order of this number, else the first one."""
    found = sweep_state.draft()
    uids = [n.uid for n in found.root.nodes] if found is not None else []
    st.session_state[ORDER.key] = uids.index(uid) + 1 if uid in uids else 1


def _order_name(shown: Node, name: str) -> None:
    place = sweep_state.hold(f"sw{shown.uid}_order_name", name)

    def renamed() -> None:
        sweep_state.edit(sweep_edit.rename, shown.uid, st.session_state[place].strip())

    control.text_input(say("sweep_form.order_name"), key=place, max_chars=50, help=say("sweep_help.order_name"),
                       on_change=renamed)  # fmt: skip


def _order_buttons(shown: Node, many: int) -> None:
    if many < sweep_edit.MOST_ORDERS:
        control.button(say("sweep_form.add_order"), key="order_add", help=say("sweep_form.add_order_help"),
                       on_click=_copy_order, args=(shown.uid,))  # fmt: skip
    control.button(say("sweep_form.remove_order"), key="order_remove", on_click=_remove_order,
                   args=(shown.uid,))  # fmt: skip


def _copy_order(uid: int) -> None:
    """Copy an order and show the copy."""
    sweep_state.edit(sweep_edit.add_order, uid)
    found = sweep_state.draft()
    if found is not None:
        uids = [n.uid for n in found.root.nodes]
        _show(uids[uids.index(uid) + 1] if uid in uids[:-1] else uid)


def _remove_order(uid: int) -> None:
    sweep_state.edit(sweep_edit.remove, uid)
    _show(uid)


def _phase(draft: Draft, order: Node, phase: Node, number: int, problems: Mapping[int, str]) -> None:
    with control.container(border=True, key=f"phase_{phase.uid}"):
        title, epochs, buttons = st.columns([1.15, 1.3, 0.8], gap="small", vertical_alignment="bottom")
        values = phase.get("epochs")
        trains = values.mode != ONE or bool(values.first)
        what = say("sweep_form.phase_trains" if trains else "sweep_form.phase_applies")
        title.html(f'<h2 class="sh-title">{escape(say("sweep_form.phase", number=number))}</h2>'
                   f'<p class="sh-sub">{escape(what)}</p>')  # fmt: skip
        with epochs:
            cell(phase, draft.task, "epochs")
        with buttons:
            _buttons(phase, number - 1, len(order.nodes), lone=len(order.nodes) == 1)
        _problem(phase, problems)
        if trains or phase.only(LOSSES):
            _losses(draft, phase, problems)
        _stages(draft, phase, problems)


def _losses(draft: Draft, phase: Node, problems: Mapping[int, str]) -> None:
    pieces = phase.only(LOSSES)
    with control.container(horizontal=True, vertical_alignment="bottom", key=f"losses_{phase.uid}"):
        st.html(f'<h3 class="sh-group">{escape(say("sweep_form.losses"))}</h3>')
        if len(pieces) > 1:
            _how(phase, "losses", (TOGETHER, EACH), phase.get("losses").first)
        _add(phase, LOSSES, draft.task)
    for i, piece in enumerate(pieces):
        _piece(draft, piece, i, len(pieces), problems)
    if any(catalogue.current().row(LOSSES, p.name).get("needs_teacher") for p in pieces):
        _teachers(draft, phase)


def _stages(draft: Draft, phase: Node, problems: Mapping[int, str]) -> None:
    pieces = phase.only(STAGES)
    with control.container(horizontal=True, vertical_alignment="bottom", key=f"stages_{phase.uid}"):
        st.html(f'<h3 class="sh-group">{escape(say("sweep_form.stages"))}</h3>')
        _add(phase, STAGES, draft.task)
    for i, piece in enumerate(pieces):
        _piece(draft, piece, i, len(pieces), problems)
    if not pieces:
        st.html(f'<p class="sh-sub">{escape(say("sweep_form.no_stages"))}</p>')


def _how(phase: Node, name: str, ways: Sequence[str], way: str) -> None:
    """Whether several losses, or teachers, work together or are tried one after the other."""
    place = sweep_state.hold(f"sw{phase.uid}_{name}_how", way)
    prefix = "teachers_" if name == "teachers" else ""

    def words(value: str) -> str:
        return say(f"sweep_mode.{prefix}{value}")

    def changed() -> None:
        now = st.session_state[place]
        setting = Setting(now, phase.get(name).values) if prefix else Setting(ONE, (now,))
        sweep_state.edit(sweep_edit.put, phase.uid, name, setting)

    control.segmented_control(say(f"sweep_help.{name}_mode"), ways, key=place, format_func=words, required=True,
                              on_change=changed, label_visibility="collapsed",
                              help=say(f"sweep_help.{name}_mode"))  # fmt: skip


def _teachers(draft: Draft, phase: Node) -> None:
    setting = phase.get("teachers")
    place = sweep_state.hold(f"sw{phase.uid}_teachers", list(setting.values))
    recipes = (*sweep_draft.assistants(draft.task), *(t for t in setting.values if t.startswith("{")))
    known = list(dict.fromkeys((*catalogue.current().teachers(draft.task), *recipes)))

    def changed() -> None:
        chosen = Setting(setting.mode, tuple(st.session_state[place]))
        sweep_state.edit(sweep_edit.put, phase.uid, "teachers", chosen)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        control.multiselect(label_of("teachers"), known, key=place, help=say("sweep_help.teachers"), on_change=changed,
                            format_func=_teacher_title)  # fmt: skip
        if len(setting.values) > 1:
            _how(phase, "teachers", (TOGETHER, EACH), setting.mode)


def _teacher_title(name: str) -> str:
    if name.startswith("{"):
        return say("sweep_form.a_recipe", student=json.loads(name).get("student", ""))
    return catalogue_words.title_of("models", name)


def _add(phase: Node, kind: str, task: str) -> None:
    """A menu that adds a loss or stage that suits the task, and shows its title again."""
    place = sweep_state.hold(f"sw{phase.uid}_add_{kind}", None)
    word = "loss" if kind == LOSSES else "stage"

    def added() -> None:
        if st.session_state[place]:
            sweep_state.edit(sweep_edit.add, phase.uid, kind, st.session_state[place])

    def title(name: str) -> str:
        return catalogue_words.title_of(kind, name)

    control.selectbox(say(f"sweep_form.add_{word}_help"), catalogue.current().suited(kind, task), key=place, index=None,
                      width=190, placeholder=say(f"sweep_form.add_{word}"), format_func=title, on_change=added,
                      label_visibility="collapsed")  # fmt: skip


def _piece(draft: Draft, piece: Node, place: int, many: int, problems: Mapping[int, str]) -> None:
    """A loss or stage: its title, its knobs, buttons to move and remove it, and what is wrong with it."""
    row = catalogue_words.row(piece.kind, piece.name)
    knobs = sweep_draft.knobs_of(piece, draft.task)
    with control.container(key=f"piece_{piece.uid}"):
        title, buttons = st.columns([3, 0.8], gap="small", vertical_alignment="center")
        with title, st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{row['title']}**", help=row["help"], width="content")
            _more(draft, piece, [k for k in knobs if rare(knobs[k]) and not (k == "factor" and many == 1)])
        with buttons:
            _buttons(piece, place, many)
        _problem(piece, problems)
        _cells(piece, draft.task, [k for k in knobs if not rare(knobs[k])])


def _more(draft: Draft, piece: Node, names: Sequence[str]) -> None:
    knobs = sweep_draft.knobs_of(piece, draft.task)
    changed = sum(piece.get(n) != Setting(ONE, (knobs[n].default,)) for n in names)
    if names:
        title = say("sweep_form.more_changed", count=changed) if changed else say("sweep_form.more")
        with control.popover(title, help=say("sweep_form.more_help"), key=f"more_{piece.uid}"):
            for name in names:
                cell(piece, draft.task, name)


def _buttons(node: Node, place: int, many: int, lone: bool = False) -> None:
    """Up, down, remove."""
    with control.container(horizontal=True, horizontal_alignment="right", gap="xsmall", key=f"buttons_{node.uid}"):
        moves: tuple[tuple[str, bool, Callable[..., Draft], tuple[int, ...]], ...] = (
            ("up", place == 0, sweep_edit.move, (node.uid, -1)),
            ("down", place == many - 1, sweep_edit.move, (node.uid, 1)),
            ("remove", lone, sweep_edit.remove, (node.uid,)),
        )
        for name, off, how, args in moves:
            control.button(say(f"sweep_form.{name}_mark"), key=f"{name}_{node.uid}", help=say(f"sweep_form.{name}"),
                           disabled=off, on_click=sweep_state.edit, args=(how, *args))  # fmt: skip


def _problem(node: Node, problems: Mapping[int, str]) -> None:
    if node.uid in problems:
        st.html(f'<p class="sh-bad" role="alert">{escape(problems[node.uid])}</p>')


def _add_phase(draft: Draft, order: Node) -> None:
    with control.container(horizontal=True, vertical_alignment="center", key="sweep_add_phase"):
        st.html(f'<span class="sh-sub">{escape(say("sweep_form.add_phase"))}</span>', width="content")
        for name in ADDED:
            new = (sweep_edit.add_phase, order.uid, _new_phase(name, draft.task))
            control.button(say(f"sweep_form.add_{name}"), key=f"add_{name}", help=say("sweep_form.add_help"),
                           on_click=sweep_state.edit, args=new)  # fmt: skip
        if len(draft.root.nodes) == 1:
            control.button(say("sweep_form.add_order"), key="order_add", help=say("sweep_form.add_order_help"),
                           on_click=_copy_order, args=(order.uid,))  # fmt: skip


def _new_phase(name: str, task: str) -> dict[str, Any]:
    """The JSON of a phase to begin with."""
    rows = catalogue.current()
    if name == "taught" and "kd" in rows.rows["losses"] and rows.teachers(task):
        return {"epochs": 1, "loss": {"name": "kd"}, "teachers": rows.teachers(task)[:1], "stages": []}
    if name == "compress":
        known = [n for n in COMPRESS if n in rows.suited("stages", task)]
        return {"epochs": 0, "stages": [{"name": n} for n in known]}
    return {"epochs": 1, "loss": {"name": "cross_entropy"}, "stages": []}
