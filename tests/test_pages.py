"""The pages without a browser: what they import, their words, their settings, errors in one line."""

from __future__ import annotations

import ast
import json
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pages.parts import words

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
HEAVY = ("torch", "torchvision", "transformers", "onnxruntime", "onnx", "sklearn", "scipy")
# arguments that a person never reads
SILENT = {
    *("key", "type", "width", "height", "gap", "layout", "format", "selection_mode", "label_visibility", "language"),
    *("vertical_alignment", "horizontal_alignment", "url_path", "position", "on_change", "theme", "border"),
    *("args", "on_click", "mime", "file_name"),
}
DRAWN = {
    *("markdown", "caption", "write", "error", "warning", "info", "success", "button", "html", "popover", "metric"),
    *("slider", "select_slider", "selectbox", "segmented_control", "toggle", "number_input", "text_input", "title"),
    *("progress", "expander", "header", "subheader", "code", "text", "toast", "pills", "radio", "checkbox"),
}


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node


def _texts(node: ast.AST) -> Iterator[str]:
    """Literal text inside an expression; what is handed to another function's call is that function's business."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr | ast.BinOp | ast.IfExp | ast.List | ast.Tuple):
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def _words_in(text: str) -> bool:
    """Whether text without its HTML tags and Markdown colours holds a letter."""
    return any(c.isalpha() for c in re.sub(r"<[^>]*>?|:[a-z]+\[|&[a-z]+;", "", text))


def _drawing(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    return (isinstance(owner, ast.Name) and owner.id == "st") or (
        function.attr in DRAWN and isinstance(owner, ast.Name)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_words_come_from_the_message_file(path: Path) -> None:
    found = []
    for call in filter(_drawing, _calls(path)):
        shown = [*call.args, *(k.value for k in call.keywords if k.arg not in SILENT)]
        if isinstance(call.func, ast.Attribute) and call.func.attr in (
            "columns",
            "container",
            "cache_resource",
            "cache_data",
        ):
            continue
        found += [f"line {call.lineno}: {t!r}" for node in shown for t in _texts(node) if _words_in(t)]
    assert not found


def test_the_test_above_finds_a_literal() -> None:
    call = ast.parse('st.button("Run", key="x")').body[0].value  # type: ignore[attr-defined]
    assert _drawing(call)
    assert [t for node in call.args for t in _texts(node) if _words_in(t)] == ["Run"]


def _messages(entry: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in entry.items():
        if isinstance(value, str):
            yield f"{prefix}{name}", value
        else:
            yield from _messages(value, f"{prefix}{name}.")


def _asked_for() -> tuple[set[str], set[str]]:
    """Keys that the pages ask for: whole ones, and the beginnings of those that are put together."""
    whole, begun = set(), set()
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"[a-z_]+(\.\w+)+", node.value)
            ):
                whole.add(node.value)
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                begun.add(str(node.values[0].value))
    return whole, begun


def _said(path: Path) -> Iterator[str]:
    for call in _calls(path):
        if isinstance(call.func, ast.Name) and call.func.id == "say" and isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value)


def test_every_message_asked_for_is_there_and_every_message_is_asked_for() -> None:
    keys = {key for key, _ in _messages(words.load())}
    whole, begun = _asked_for()
    assert not {key for path in SOURCES for key in _said(path)} - keys
    prefixes = {b for b in begun if "." in b}
    assert not {k for k in keys if k not in whole and not any(k.startswith(p) for p in prefixes)}


def test_messages_have_only_named_placeholders() -> None:
    for key, message in _messages(words.load()):
        names = [name for _, name, _, _ in string.Formatter().parse(message) if name is not None]
        assert all(n.isidentifier() for n in names), key
        assert "  " not in message, key
        assert message, key


def test_an_unknown_message_is_a_mistake_and_values_are_filled_in() -> None:
    with pytest.raises(KeyError, match=r"run\.nothing"):
        words.say("run.nothing")
    assert words.find("run.nothing") is None
    assert "12 s" in words.say("run.expected", seconds="12 s")


@pytest.mark.parametrize(
    ("value", "said"), [(1.034, "1.03×"), (9.13, "9.1×"), (60.5, "60×"), (1.0, "1.00×"), (246.4, "246×")]
)
def test_ratios(value: float, said: str) -> None:
    assert words.times(value) == said


def test_points_and_counts() -> None:
    assert words.points(-0.0061) == "0.6"
    assert words.count(10174) == "10,174"
    assert words.number(4.0) == "4"


def test_pages_import_nothing_heavy() -> None:
    modules = ["app", *(str(p.relative_to(ROOT).with_suffix("")).replace("/", ".") for p in SOURCES[1:])]
    program = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name.removesuffix('.__init__'))\n"
        f"print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_configuration_keeps_everything_on_this_machine() -> None:
    found = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert found["server"]["address"] == "127.0.0.1"
    assert found["server"]["headless"] is True
    assert found["server"]["fileWatcherType"] == "none"
    assert found["browser"]["gatherUsageStats"] is False
    assert found["client"]["showErrorDetails"] == "none"
    assert found["client"]["toolbarMode"] == "minimal"
    assert found["runner"]["postScriptGC"] is False
    assert {"light", "dark"} <= set(found["theme"])
    assert "http" not in json.dumps(found)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_and_accent_can_be_read_on_their_backgrounds(name: str) -> None:
    """WCAG 2.2 contrast: 4.5 for text, 3 for the parts of a control."""
    found = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][name]

    def contrast(a: str, b: str) -> float:
        high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for background in (
        found["backgroundColor"],
        found["secondaryBackgroundColor"],
        found["sidebar"]["backgroundColor"],
    ):
        assert contrast(found["textColor"], background) >= 4.5
        assert contrast(found["linkColor"], background) >= 4.5
        assert contrast(found["primaryColor"], background) >= 3
