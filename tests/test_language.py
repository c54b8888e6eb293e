"""Which language a session reads, and that nobody is shown another person's."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from streamlit.testing.v1 import AppTest

from pages.parts import language, words
from pages.server import form

SOURCES = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
APP = str(ROOT / "app.py")


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(language.VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("tag", "known"),
    [("zh", "zh"), ("zh-CN", "zh"), ("zh-Hant-TW", "zh"), ("ZH_tw", "zh"), ("en-GB", "en"), ("EN", "en"),
     ("fr", ""), ("", ""), ("zha", ""), ("e n", "")],
)  # fmt: skip
def test_tags(tag: str, known: str) -> None:
    assert language.known(tag) == known


@pytest.mark.parametrize(
    ("accepted", "preferred"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-US,en;q=0.9,zh;q=0.8", "en"), ("fr, zh;q=0.8, en;q=0.5", "zh"),
     ("en;q=0.2, zh;q=0.7", "zh"), ("en;q=0, zh;q=0.1", "zh"), ("de, fr", ""), ("", ""), ("zh;q=x", ""),
     (";;,,=", "")],
)  # fmt: skip
def test_accept_language(accepted: str, preferred: str) -> None:
    assert language.preferred(accepted) == preferred


def test_the_variable_stands_in_for_the_browser_and_not_for_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert language.current() == "en", "without a session"
    assert language.of_request("zh-CN", "/") == "zh"
    assert language.of_request("zh-CN", "/front?lang=en&max_bytes=3") == "en"
    monkeypatch.setenv(language.VARIABLE, "zh")
    assert language.current() == "zh"
    assert language.of_request("en", "/") == "zh"
    assert language.of_request("", "/?lang=en") == "en"
    monkeypatch.setenv(language.VARIABLE, "klingon")
    assert language.of_request("", "/?lang=xx") == "en"


def test_the_join_form_speaks_the_language_of_who_asks() -> None:
    page = form.html("/", spoken="zh").decode()
    assert '<html lang="zh">' in page
    assert words.say_in("zh", "join.lead") in page
    assert words.say_in("en", "join.lead") in form.html("/").decode()


def speaking() -> None:
    """A page of one line, a fragment and a callback: a script of its own for AppTest."""
    import streamlit as st

    from pages.parts import frame, language

    st.session_state[frame.REFUSED] = language.sync()
    frame.heading("title", "lead")

    @st.fragment
    def part() -> None:
        st.text(f"part {language.current()}")
        st.button("again", key="again", on_click=lambda: st.session_state.update(heard=language.current()))

    st.text(language.current())
    part()


def _said(page: AppTest) -> list[Any]:
    return [text.value for text in page.text]


def test_the_address_is_heard_and_kept() -> None:
    page = AppTest.from_function(speaking, default_timeout=60)
    assert _said(page.run()) == ["en", "part en"]
    page.query_params["lang"] = "zh"
    assert _said(page.run()) == ["zh", "part zh"]
    page.button(key="again").click().run()
    assert page.session_state["heard"] == "zh"
    del page.query_params["lang"]
    assert _said(page.run()) == ["zh", "part zh"], "an address without a language keeps the session's"


def test_an_unknown_language_falls_back_with_a_notice() -> None:
    page = AppTest.from_function(speaking, default_timeout=60)
    page.query_params["lang"] = "klingon" * 30
    page.run()
    assert _said(page) == ["en", "part en"]
    (told,) = page.warning
    assert "klingon" in told.value
    assert len(told.value) < 120
    assert "en" in told.value


def test_the_button_changes_language_and_address() -> None:
    page = AppTest.from_function(speaking, default_timeout=60)
    page.query_params["lang"] = "en"
    page.run()
    page.button(key="language_zh").click().run()
    assert _said(page) == ["zh", "part zh"]
    assert page.query_params["lang"] in ("zh", ["zh"])
    page.query_params["lang"] = "zh"
    page.button(key="language_en").click().run()
    assert _said(page) == ["en", "part en"]


def test_the_variable_is_the_usual_language_of_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(language.VARIABLE, "zh")
    page = AppTest.from_function(speaking, default_timeout=60)
    assert _said(page.run()) == ["zh", "part zh"]
    page.query_params["lang"] = "en"
    assert _said(page.run()) == ["en", "part en"]


def _decorated(node: ast.FunctionDef) -> str:
    return " ".join(ast.unparse(d) for d in node.decorator_list)


def _called(node: ast.AST) -> set[str]:
    return {ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}


SPEAKS = {"say", "find", "say_in", "words.say", "words.find", "labels", "words.labels", "line"}
CACHES = ("cache_resource", "cache_data", "lru_cache", "functools.cache")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_with_words_is_remembered_for_everybody(path: Path) -> None:
    """A function that is remembered says nothing, nor does any of its module that it calls; figures have words."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    speaking: dict[str, set[str]] = {name: _called(node) for name, node in functions.items()}

    def speaks(name: str, seen: frozenset[str]) -> bool:
        calls = speaking[name]
        drawn = any("_figure" in c or "alt_" in c for c in calls)
        inner = (c for c in calls if c in functions and c not in seen)
        return drawn or bool(calls & SPEAKS) or any(speaks(c, seen | {name}) for c in inner)

    kept = [n for n, node in functions.items() if any(c in _decorated(node) for c in CACHES)]
    allowed = {"load", "start_runner", "preset"}  # messages by language; a line on the terminal; values without words
    assert [n for n in kept if n not in allowed and speaks(n, frozenset())] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_said_while_modules_are_imported(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    defaults = [d for n in ast.walk(tree) if isinstance(n, later) for d in n.args.defaults]
    places = [tree, *defaults]
    said: set[str] = set()
    while places:
        node = places.pop()
        if isinstance(node, ast.Call):
            said.add(ast.unparse(node.func))
        places += [n for n in ast.iter_child_nodes(node) if not isinstance(n, later)]
    assert not said & SPEAKS
