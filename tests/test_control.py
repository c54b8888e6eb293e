"""Every control of every page can be locked and hidden by an address, and keeps what it stood at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from engine import api
from engine.home import Home
from pages.parts import carried, control

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [p for p in sorted((ROOT / "pages").rglob("*.py")) if "server" not in p.parts]
WIDGETS = {
    *("button", "checkbox", "download_button", "expander", "file_uploader", "multiselect", "number_input", "pills"),
    *("pagination", "popover", "radio", "segmented_control", "select_slider", "selectbox", "slider", "text_area"),
    *("text_input", "toggle", "dataframe", "plotly_chart", "chat_input", "color_picker", "data_editor", "date_input"),
    *("feedback", "menu_button", "tabs", "form_submit_button", "camera_input", "audio_input", "time_input"),
}
OWN = {"control.py", "links.py", "share.py"}  # links are no controls, and the dialog has to work whatever is locked


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield (owner.id if isinstance(owner, ast.Name) else ""), node


def _around(path: Path) -> list[str]:
    """Calls that draw a widget past the module that can lock it, or a panel whose key it does not learn."""
    found = []
    for owner, call in _calls(path):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        keyed = any(k.arg == "key" for k in call.keywords)
        if owner != "control" and (name in WIDGETS or (name == "container" and keyed)):
            found.append(f"{path.name}:{call.lineno} {owner}.{name}")
        if owner == "control" and name in {*WIDGETS, "container"}:
            known = any(k.arg in ("key", None) for k in call.keywords)
            found += [] if known else [f"{path.name}:{call.lineno} has no key"]
    return found


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name not in OWN], ids=lambda p: p.name)
def test_every_widget_is_drawn_through_control_and_has_a_name(path: Path) -> None:
    assert not _around(path)


def test_the_test_above_finds_one(tmp_path: Path) -> None:
    path = tmp_path / "page.py"
    path.write_text('st.slider("x", key="y")\ncontrol.slider("x")\nst.container(key="z")\nst.container()\n')
    assert len(_around(path)) == 3


def test_names_are_split_joined_and_nothing_else_gets_through() -> None:
    assert carried.split("bits, temperature.what_if -run") == {"bits", "temperature", "what_if", "-run"}
    assert carried.split("a{}</style>.ok.*.--") == {"ok", "--"} - {"--"}
    assert carried.join(["a", "b"]) == "a.b"
    assert len(carried.split(".".join(f"n{i}" for i in range(1000)))) == carried.MOST_NAMES


@pytest.mark.parametrize(
    ("listed", "name", "groups", "reached"),
    [
        ("bits", "bits", (), True),
        ("bits", "bit", (), False),
        ("group_bits", "bits", ("group_bits",), True),
        ("group_bits.-bits", "bits", ("group_bits",), False),
        ("all", "bits", ("group_bits",), True),
        ("all.-group_bits", "bits", ("group_bits",), False),
        ("all", "share", ("heading",), False),
        ("share", "share", (), True),
        ("", "bits", (), False),
    ],
)
def test_what_a_list_of_names_reaches(listed: str, name: str, groups: tuple[str, ...], reached: bool) -> None:
    assert control.covers(carried.split(listed), name, groups) is reached


@pytest.fixture
def quiet(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home without a runner."""
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def _page() -> None:
    """What app.py does with a page: Streamlit's driver runs a page of st.navigation only once."""
    from pages import explore
    from pages.parts import control, frame, theme

    theme.apply()
    control.begin()
    frame.guarded(explore.draw)()


def _open(**address: str) -> AppTest:
    app = AppTest.from_function(_page, default_timeout=60)
    app.query_params.update(address)
    app.run()
    return app


def _address(app: AppTest) -> dict[str, str]:
    return {name: text if isinstance(text, str) else text[0] for name, text in app.query_params.items()}


def _styles(app: AppTest) -> str:
    return "".join(str(e.proto.body) for e in app.get("html"))


@pytest.mark.usefixtures("quiet")
def test_a_locked_control_is_drawn_disabled_with_the_value_of_the_address_and_the_others_are_free() -> None:
    app = _open(lock="temperature.group_bits", temperature="8")
    slider = app.select_slider(key="temperature")
    assert (slider.disabled, slider.value) == (True, 8.0)
    assert app.select_slider(key="bits").disabled
    assert not app.slider(key="weight").disabled
    assert not app.button(key="run").disabled


@pytest.mark.usefixtures("quiet")
def test_everything_but_one_is_locked() -> None:
    app = _open(lock="all.-temperature.-run")
    free = {
        e.key for e in [*app.button, *app.slider, *app.select_slider, *app.selectbox, *app.toggle] if not e.disabled
    }
    assert free - {"share", "language_zh"} == {"temperature", "run"}


@pytest.mark.usefixtures("quiet")
def test_a_preset_does_not_move_what_is_locked() -> None:
    app = _open(lock="student", student="plain_1k5")
    app.button(key="preset_small").click().run()
    assert app.selectbox(key="student").value == "plain_1k5"
    assert app.slider(key="sparsity").value == 0.7


@pytest.mark.usefixtures("quiet")
def test_what_is_hidden_is_drawn_disabled_and_taken_away_by_one_rule() -> None:
    app = _open(hide="what_if,bits")
    assert app.select_slider(key="bits").disabled
    assert ".st-key-bits, .st-key-what_if {display: none !important}" in _styles(app)
    assert _address(app)["hide"] == "what_if,bits"


@pytest.mark.usefixtures("quiet")
def test_carried_parameters_stay_when_a_page_writes_its_own() -> None:
    app = _open(lock="bits", lang="en", present="1")
    app.slider(key="sparsity").set_value(0.8).run()
    assert _address(app) == {
        "sparsity": "0.8", "lock": "bits", "lang": "en", "present": "1",
    }  # fmt: skip
    assert not app.warning


@pytest.mark.usefixtures("quiet")
def test_the_navigations_bare_address_loses_nothing() -> None:
    app = _open(lock="bits", sparsity="0.8")
    app.query_params.clear()
    app.session_state["_last_page"] = "front"
    app.run()
    assert app.select_slider(key="bits").disabled
    assert _address(app)["lock"] == "bits"


def _two_panels() -> None:
    import streamlit as st

    from pages.parts import control

    control.begin()
    with control.container(key="outer"):
        with control.container(key="inner"):
            control.slider("Inside", 0, 5, key="deep")
        control.button("Beside", key="near")
    control.toggle("Away", key="far")
    left, _ = st.columns(2)

    @st.fragment
    def later() -> None:
        with control.container(key="again"):
            control.toggle("Later", key="later")

    with left, control.container(key="around"):
        later()
    st.write(repr(control.drawn()))


def test_a_panel_reaches_what_is_inside_also_in_a_fragment() -> None:
    app = AppTest.from_function(_two_panels)
    app.query_params["lock"] = "outer,around"
    app.run()
    found: dict[str, Any] = {e.key: e.disabled for e in [*app.slider, *app.button, *app.toggle]}
    assert found == {"deep": True, "near": True, "far": False, "later": True}
    assert "groups=('outer', 'inner')" in app.markdown[0].value
    assert "groups=('around', 'again')" in app.markdown[0].value
