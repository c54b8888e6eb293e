"""What every live figure keeps to, whatever it shows."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ROOT

from engine import live as figures
from engine.errors import InputError
from engine.figures.svg import wide
from engine.figures.theme import THEMES
from engine.knobs import Knob
from engine.live import Live
from pages.parts import choices, language, live

NAMES = list(figures.FIGURES)
BUDGET_SECONDS = 0.1  # on any machine; benchmarks/live_figures.py measures
OTHERS = ("lesson", "step", "seed", "choice", "lang", "hide", "lock", "present", *choices.RESERVED)
NUMBER = re.compile(r'="([^"]*)"')


def ends(knob: Knob) -> list[Any]:
    """A knob's extreme values."""
    if knob.choices:
        return list(knob.choices)
    return [False, True] if knob.type == "bool" else [knob.check(v, knob.name) for v in (knob.low, knob.high)]


def settings(figure: Live) -> Iterator[dict[str, Any]]:
    """The defaults, each knob at its ends, all at one end."""
    usual = figure.check({})
    yield usual
    for knob in figure.knobs:
        for value in ends(knob):
            yield usual | {knob.name: value}
    for which in (0, -1):
        yield {k.name: ends(k)[which] for k in figure.knobs}


def inside(text: ElementTree.Element, width: float) -> bool:
    """Whether a text ends within the picture, by an estimate of its width."""
    long = 0.46 * float(text.attrib["font-size"]) * wide(text.text or "")
    start = float(text.attrib["x"]) - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]] * long
    return start >= -2 and start + long <= width + 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("look", "spoken"), list(zip(THEMES, language.NAMES, strict=True)))
def test_draws_at_every_end_of_every_knob(name: str, look: str, spoken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(language.VARIABLE, spoken)
    figure = figures.find(name)
    for values in settings(figure):
        html, facts = live.drawn(name, values, look)
        tree = ElementTree.fromstring(html)  # well-formed, or the browser would mend it as it likes
        assert "\n" not in html, "a blank line ends HTML inside Markdown"
        assert len(tree.attrib["aria-label"]) > 20
        assert "nan" not in html.lower().replace("dominan", "")
        assert "inf" not in " ".join(NUMBER.findall(html[html.index("<svg") :])).lower()
        assert len(html) < 120_000
        assert len(facts) >= 2
        assert all(math.isfinite(f.value) for f in figure.facts(figure.info(values)))
        box = [float(v) for v in tree[0].attrib["viewBox"].split()]
        assert not [e.text for e in tree.iter("text") if not inside(e, box[2])]
        assert all(0 <= float(e.attrib["y"]) <= box[3] for e in tree.iter("text"))


@pytest.mark.parametrize("name", NAMES)
def test_answers_at_once(name: str) -> None:
    figure = figures.find(name)
    live.drawn(name, figure.check({}), "light")
    live._info.cache_clear()
    spent = []
    for values in settings(figure):
        started = time.perf_counter()
        live.drawn(name, values, "light")
        spent.append(time.perf_counter() - started)
    assert sorted(spent)[len(spent) // 2] < BUDGET_SECONDS


@pytest.mark.parametrize("name", NAMES)
def test_knobs_have_words_and_bounds(name: str) -> None:
    figure = figures.find(name)
    words = live.Spoken(name)
    assert words["title"]
    for knob in figure.knobs:
        assert knob.help.endswith(".")
        assert words[f"label.{knob.name}"]
        assert words[f"help.{knob.name}"] == knob.help, "the English help of a knob is its own"
        assert knob.choices or knob.type == "bool" or (knob.low is not None and knob.high is not None)
        assert knob.name not in OTHERS
        for choice in knob.choices:
            assert words[f"option.{knob.name}.{choice}"]


@pytest.mark.parametrize("name", NAMES)
def test_the_address_brings_every_value_back(name: str) -> None:
    figure = figures.find(name)
    for values in settings(figure):
        assert live.read(name, live.to_address(name, values)) == (values, [])
    usual = {k.name: ends(k)[-1] for k in figure.knobs}
    assert live.to_address(name, usual, usual) == {}
    assert live.read(name, {}, usual) == (usual, [])


def test_a_bad_value_falls_back_and_is_named() -> None:
    values, problems = live.read("softmax", {"temperature": "warm", "image": "77"}, {"temperature": 8.0})
    assert values == {"temperature": 8.0, "image": figures.find("softmax").knob("image").default}
    assert len(problems) == 2
    assert "77" in problems[0]
    assert "warm" in problems[1]


def test_an_unknown_figure_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="softmax"):
        figures.find("softmux")
    with pytest.raises(InputError, match="temperature"):
        figures.find("softmax").check({"temprature": 3.0})


def test_needs_no_torch() -> None:
    code = (
        "import sys; from engine import live\n"
        "for f in live.FIGURES.values(): f.info(f.check({}))\n"
        "print([m for m in ('torch', 'onnxruntime', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
