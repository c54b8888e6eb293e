"""The whole state is in the URL; what is wrong there, or in the store, is said in one line and nothing breaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from browser.conftest import PATIENCE, Window, served
from browser.test_answers import expect, slide
from engine.home import Home

pytestmark = pytest.mark.browser
ALERT = '[data-testid="stAlertContentWarning"], [data-testid="stAlertContentError"]'
PRESETS: dict[str, dict[str, str | None]] = {
    "Fastest here": {"student": "Plain CNN, 5,058", "loss": "Distillation (soft", "sparsity": None, "bits": "none"},
    "Under 10 kB": {"student": "Plain CNN, 29,178", "loss": "Distillation (soft", "sparsity": "70%", "bits": "4"},
    "Start here": {"student": "Plain CNN, 10,174", "loss": "Distillation (soft", "sparsity": "50%", "bits": "8"},
}


def shown(window: Window, name: str) -> str | None:
    """What a control shows: a slider its words, a select box its option, a hidden one None."""
    slider = window.page.locator(f".st-key-{name} input[type=range]")
    if slider.count():
        return str(slider.get_attribute("aria-valuetext"))
    box = window.page.locator(f".st-key-{name} input")
    return str(box.input_value()) if box.count() else None


def test_each_preset_sets_the_controls(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/?seed=5&student=plain_1k5")
    window.settled()
    for preset, values in PRESETS.items():
        button = window.page.locator(".st-key-preset").get_by_role("button", name=preset).first
        button.click()
        expect(button).to_have_attribute("kind", "primary")
        student = window.page.locator(".st-key-student input")
        expect(student).to_have_value(re.compile(re.escape(str(values["student"]))))
        window.settled()
        for name, value in values.items():
            found = shown(window, name)
            assert found == value if value is None else found is not None and found.startswith(value), (preset, name)
    assert "seed" not in window.page.url


def test_the_address_brings_back_the_same_page(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(seeded)
    window.settled()
    slide(window, "temperature", 3)
    slide(window, "bits", -2)
    window.page.get_by_role("radio", name="at once").click()
    window.page.locator(".st-key-epochs input").fill("7")
    window.page.locator(".st-key-epochs input").press("Enter")
    for part in ("temperature=8", "bits=6", "schedule=one_shot", "epochs=7"):
        expect(window.page).to_have_url(re.compile(part))
    other = opened(window.page.url)
    other.settled()
    assert {n: shown(other, n) for n in ("temperature", "bits", "epochs")} == {
        "temperature": "8", "bits": "6", "epochs": "7"
    }  # fmt: skip
    expect(other.page.get_by_role("radio", name="at once")).to_be_checked()
    assert other.page.url == window.page.url
    for place in ("story", "what_if", "soft"):
        assert window.text(f".st-key-{place}") == other.text(f".st-key-{place}")
    expect(other.page.locator(ALERT)).to_have_count(0)


BAD = {
    "student=plain_9k": ("plain_9k", "plain_5k"),
    "temperature=abc": ("temperature", "0.5"),
    "temperature=nan": ("temperature", "nan"),
    "sparsity=7": ("sparsity", "0.99"),
    "bits=12": ("bits", "32"),
    "colour=red": ("colour", "URL"),
}


def test_bad_values_in_the_address_are_said_and_replaced(seeded: str, opened: Callable[..., Window]) -> None:
    pairs = [q for q in BAD if q != "temperature=nan"]
    for query in ("&".join(pairs), "temperature=nan"):
        window = opened(f"{seeded}/?{query}")
        window.settled()
        alerts = window.page.locator(ALERT)
        expect(alerts).to_have_count(len(query.split("&")))
        said = alerts.all_inner_texts()
        for name in query.split("&"):
            assert any(all(word in line for word in BAD[name]) for line in said), (name, said)
        assert all("\n" not in line.strip() and len(line) < 300 for line in said)
        slider = window.page.locator(".st-key-temperature input[type=range]")
        expect(slider).to_have_attribute("aria-valuetext", "4")
        expect(window.page.locator(".st-key-student input")).to_have_value("Plain CNN, 10,174 parameters")
        assert "Traceback" not in window.page.inner_text("body")
        assert "temperature" not in window.page.url


def test_a_corrupt_store_is_one_line(tmp_path: Path, opened: Callable[..., Window]) -> None:
    home = Home.locate(tmp_path)
    home.store.write_bytes(b"no database at all" * 500)
    with served(home) as address:
        window = opened(address)
        window.page.wait_for_selector(ALERT, timeout=PATIENCE)
        said = window.page.locator(ALERT).all_inner_texts()
    assert len(said) == 1
    assert "store.sqlite" in said[0]
    assert "\n" not in said[0].strip()
    assert home.store.read_bytes().startswith(b"no database at all")
