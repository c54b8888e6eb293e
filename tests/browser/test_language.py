"""Two languages in real browsers: by address, by the browser, by the button; side by side, and nothing cut off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app import PAGES
from browser.conftest import PATIENCE, Window
from browser.test_looks import OVERFLOW, SPILLED
from pages.parts import words

pytestmark = pytest.mark.browser
HAN = re.compile(r"[\u4e00-\u9fff]")
SPOKEN = "document.documentElement.lang"
# what stands on a page for everybody to read or to be read aloud: texts, hints in empty fields, names of pictures
SEEN = """() => [document.body.innerText, ...[...document.querySelectorAll('[placeholder], [aria-label], [alt]')]
  .flatMap(e => [e.placeholder, e.getAttribute('aria-label'), e.alt])].filter(Boolean).join('\\n')"""
QUIET = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def _flat(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values():
            yield from _flat(part)


def _english() -> list[str]:
    """Pieces of our English messages between what is filled in: three words at least, so that no name is meant."""
    filled = re.compile(r"\{[^}]*\}|\*\*|<[^>]+>|\n|:small\[")
    found = {piece.strip() for said in _flat(words.load("en")) for piece in filled.split(said)}
    typed = {said.strip() for said in _flat(words.load("zh"))}  # what is the same in both, such as commands
    plain = {piece for piece in found - typed if not piece.startswith("stillhouse ")}
    return sorted(piece for piece in plain if len(re.findall(r"[A-Za-z]{2,}", piece)) >= 3)


def _shown(window: Window) -> str:
    window.page.wait_for_selector(".sh-brand h1")
    window.page.wait_for_selector(QUIET, timeout=PATIENCE)
    window.page.wait_for_function("document.body.innerText.length > 60")
    return str(window.page.evaluate(SEEN))


def _titled(window: Window, title: str) -> None:
    window.page.wait_for_function("t => document.querySelector('.sh-brand h1')?.innerText === t", arg=title)
    window.page.wait_for_selector(QUIET)


def _address(server: str, name: str) -> str:
    return server if name == PAGES[0] else f"{server}/{name}"


@pytest.mark.parametrize("name", PAGES)
def test_a_chinese_browser_reads_chinese_on_every_page(seeded: str, opened: Callable[..., Window], name: str) -> None:
    window = opened(_address(seeded, name), locale="zh-CN")
    shown = _shown(window)
    assert all(words.say_in("zh", f"nav.{page}") in shown for page in PAGES)
    assert window.page.evaluate(SPOKEN) == "zh"
    assert [piece for piece in _english() if piece in shown] == []
    assert window.page.evaluate(OVERFLOW) <= 0
    assert window.page.evaluate(SPILLED) == []
    assert window.errors == []


def test_one_reads_chinese_while_another_reads_english(seeded: str, opened: Callable[..., Window]) -> None:
    """The same charts are drawn for both: neither is shown the other's."""
    windows = [opened(f"{seeded}/?lang={name}", locale="en-US") for name in ("zh", "en", "zh")]
    texts = []
    for window in windows:
        window.settled()
        texts.append(_shown(window))
    for place, spoken in enumerate(("zh", "en", "zh")):
        axis = words.load(spoken).get("figures", {}).get("axis_packed_bytes", "size of the packed file (log scale)")
        assert axis in texts[place]
        assert words.say_in(spoken, "run.button") in texts[place]
        assert windows[place].page.evaluate(SPOKEN) == spoken
    assert not HAN.search(texts[1].replace("中文", ""))


def test_the_button_is_reached_by_keyboard_and_the_language_stays(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(seeded)
    page = window.page
    _shown(window)
    page.get_by_role("button", name="中文", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".st-key-language_en")
    page.wait_for_url("**lang=zh**")
    assert page.evaluate(SPOKEN) == "zh"
    page.get_by_role("link", name=words.say_in("zh", "nav.front"), exact=True).first.click()
    page.wait_for_url("**/front**")
    _titled(window, words.say_in("zh", "front_page.title"))
    page.get_by_role("button", name="English", exact=True).click()
    _titled(window, words.say_in("en", "front_page.title"))
    page.wait_for_function(f"{SPOKEN} === 'en'")
    assert window.errors == []


def test_an_unknown_language_is_said_in_one_line(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/front?lang=klingon")
    assert "klingon" in _shown(window)
    assert window.text(".sh-brand h1") == words.say_in("en", "front_page.title")
