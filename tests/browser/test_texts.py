"""Tasks of texts in a real browser: words, charts, limits and the teacher's answer, from made-up results."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window, served
from browser.seeded import ENVIRONMENT
from browser.test_answers import expect, slide
from engine import catalogue
from engine.execution.base import pack_predictions
from engine.home import Home
from engine.preview import LinePreview, TextPreview, preview
from engine.recipe import Recipe
from engine.result import Cost, Latency, Quality, Result
from engine.store import Ask, Point, Store

pytestmark = pytest.mark.browser
PLAYS, MAILS = "language_model", "text_spam"


def point(recipe: Recipe, quality: Quality, packed: int, kept: Any) -> Point:
    """One finished trial with what is kept of its answers."""
    plain = (False, False, None, 1.0, 0.97, 1.03)
    times = [Latency(0.3 * n, 0.4 * n, 0.28 * n, 0.33 * n, "onnxruntime 1.32", 1, n, *plain) for n in (1, 32)]
    cost = Cost(packed * 2, packed, 123_840, 123_000, 12_000_000, *times)
    measures = {quality.metric: quality.value, "perplexity": 47.9, "next_token_accuracy": 0.172}
    result = Result(recipe.key, "done", recipe.to_json(), quality, cost, measures, "trial", seconds=9.0,
                    environment=ENVIRONMENT, curve=())  # fmt: skip
    shape, data = pack_predictions(kept)
    return Point(result.to_json(), shape, data)


def seed(home: Home) -> str:
    """A few language models and filters of mails; the key of the usual language model."""
    import numpy as np

    default = Recipe.from_json(catalogue.current().row("tasks", PLAYS)["default"])
    draw = np.random.default_rng(0).normal(0, 0.1, (64, 1)).astype(np.float32)
    bits = [(default, 2.66, 128_674), (default.dense(), 2.65, 426_000), (default.baseline(), 2.72, 425_000)]
    plays = [point(r, Quality("bits_per_character", v, v - 0.05, v + 0.05, "minimize", "bootstrap"), size, v + draw)
             for r, v, size in bits]  # fmt: skip
    usual = Recipe.from_json(catalogue.current().row("tasks", MAILS)["default"])
    logits = np.random.default_rng(1).normal(size=(833, 2)).astype(np.float32)
    mails = [point(usual, Quality("accuracy", 0.93, 0.91, 0.95), 300_000, logits)]
    store = Store(home.store)
    for task, points in ((PLAYS, plays), (MAILS, mails)):
        store.submit([Ask(f"seed:{task}", "grid", task, {}, default.key)], "local", f"seed:{task}")
        work = store.claim()
        assert work is not None
        store.add_points(f"seed:{task}", work.attempt, default.key, points)
        store.finish(f"seed:{task}", work.attempt)
    store.close()
    return default.key


@pytest.fixture(scope="module")
def lettered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of an app on a home with results of texts, where no runner starts; the usual language model's key."""
    home = Home.locate(tmp_path_factory.mktemp("lettered"))
    key = seed(home)
    with home.lock("runner").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with served(home) as address:
            yield address, key[:12]


def test_choosing_a_task_brings_its_run_words_and_texts(
    lettered: tuple[str, str], opened: Callable[..., Window]
) -> None:
    window = opened(lettered[0])
    page = window.page
    expect(page.locator(".st-key-soft img")).to_be_visible()
    page.locator(".st-key-task").get_by_role("combobox").click()
    page.get_by_role("option", name=re.compile("spam")).click()
    expect(page).to_have_url(re.compile("task=text_spam"))
    expect(page.locator(".st-key-labels")).to_contain_text("Labelled texts")
    expect(page.locator(".st-key-soft .sh-text")).to_be_visible()
    seen = preview(MAILS)
    assert isinstance(seen, TextPreview)
    first = next(piece.text for piece in seen.texts[0] if piece.kind == "word")
    expect(page.locator(".st-key-soft .sh-text")).to_contain_text(first)
    page.locator(".st-key-image_next button").first.click()
    expect(page).to_have_url(re.compile("image=1"))
    expect(page.locator(".st-key-soft")).to_contain_text("2 of 16")
    expect(page.locator(".st-key-pruning")).not_to_contain_text("channels")
    assert not window.errors


def test_fewer_bits_are_up_and_the_temperature_spreads_what_comes_next(
    lettered: tuple[str, str], opened: Callable[..., Window]
) -> None:
    window = opened(f"{lettered[0]}/?task={PLAYS}")
    page = window.page
    expect(page.locator(".js-plotly-plot .ytitle").first).to_have_text(re.compile("lower is better"))
    expect(page.locator("h2", has_text="Bits per character and size")).to_be_visible()
    ticks = page.locator(".js-plotly-plot").first.locator(".ytick text")
    expect(ticks.nth(1)).to_be_attached()
    shown = ticks.evaluate_all("found => found.map(t => [parseFloat(t.textContent), t.getBoundingClientRect().y])")
    assert min(shown)[1] < max(shown)[1], "the smallest value stands highest"
    seen = preview(PLAYS)
    assert isinstance(seen, LinePreview)
    bars = page.locator(".st-key-soft .sh-bars")
    expect(bars).to_have_count(len(seen.lines[0].places))
    before = bars.first.inner_text()
    slide(window, "temperature", 3)
    expect(page).to_have_url(re.compile("temperature="))
    expect(bars.first).not_to_have_text(before)
    expect(page.locator(".st-key-labels")).to_have_count(0)
    assert not window.errors


def test_a_limit_in_bits_and_its_sentence(lettered: tuple[str, str], opened: Callable[..., Window]) -> None:
    window = opened(f"{lettered[0]}/front?task={PLAYS}&min_quality=2.7&origins=trial")
    page = window.page
    expect(page.locator(".st-key-front_answer")).to_contain_text("at most 2.7 bits per character. 2 of 3 points")
    expect(page.locator(".st-key-front_answer")).to_contain_text("2.66 bits per character in 129 kB")
    field = page.locator(".st-key-front_min_quality input")
    expect(field).to_have_value("2.7")
    field.fill("2.6")
    field.press("Enter")
    expect(page.locator(".st-key-front_answer")).to_contain_text("The best point reaches 2.65 bits per character")
    assert not window.errors


def test_a_language_model_s_page_generates_and_has_no_mistakes(
    lettered: tuple[str, str], opened: Callable[..., Window]
) -> None:
    address, key = lettered
    window = opened(f"{address}/trial?key={key}&view=mistakes")
    page = window.page
    expect(page.locator(".st-key-trial_head")).to_contain_text("2.66 bits per character")
    expect(page.locator(".st-key-trial_head")).to_contain_text("Perplexity")
    views = page.locator(".st-key-trial_view")
    expect(views).to_contain_text("Generate")
    expect(views).not_to_contain_text("Mistakes")
    page.get_by_role("radio", name="Generate").or_(views.get_by_text("Generate")).first.click()
    expect(page.locator(".st-key-generate_prompt textarea")).to_have_value(re.compile("ROMEO"))
    expect(page.locator(".st-key-generate_texts")).to_contain_text("No network can answer yet")
    assert not window.errors


@pytest.mark.parametrize("page", ["results", "sweep", "methods"])
def test_other_pages_open_on_texts(page: str, lettered: tuple[str, str], opened: Callable[..., Window]) -> None:
    named = f"method={PLAYS}" if page == "methods" else f"task={PLAYS}"
    window = opened(f"{lettered[0]}/{page}?{named}")
    title = "Language model: Shakespeare"
    if page == "methods":
        expect(window.page.get_by_role("heading", name=title)).to_be_visible()
    else:
        expect(window.page.get_by_role("combobox", name="Task").first).to_have_value(title)
    window.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE)
    expect(window.page.locator("[data-testid=stAlert]")).to_have_count(0)
    assert not window.errors
