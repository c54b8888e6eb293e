"""The page Results: filters and address, ticking, sorting by a click, stars and notes, comparing, deleting, files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from browser.conftest import PATIENCE, Window, shows

pytestmark = pytest.mark.browser
ROW, HEAD, TICK = 35, 38, 17  # pixels of a row and of the head, and where the boxes are
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
STILL = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def settle(window: Window) -> None:
    """Wait until what was just done has been drawn."""
    window.page.wait_for_timeout(500)
    window.page.wait_for_selector(STILL, timeout=PATIENCE)
    window.page.wait_for_selector(".sh-sizes")


def tick(window: Window, *rows: int) -> None:
    """Tick rows of the table, counted from 0."""
    box = window.page.locator('[data-testid="stDataFrame"]').first.bounding_box()
    assert box
    for row in rows:
        window.page.mouse.click(box["x"] + TICK, box["y"] + HEAD + ROW * row + ROW / 2)
        settle(window)


def press(window: Window, key: str) -> None:
    window.page.locator(f".st-key-{key} button").first.click()
    settle(window)


def chosen(window: Window) -> list[str]:
    """Keys in the address."""
    found = window.page.evaluate("new URLSearchParams(location.search).get('chosen')")
    return str(found).split(".") if found else []


@pytest.fixture
def table(seeded: str, opened: Callable[..., Window]) -> Callable[..., Window]:
    def show(query: str = "", **more: object) -> Window:
        window = opened(f"{seeded}/results{query}", **more)
        window.page.wait_for_selector(".sh-sizes")
        settle(window)
        return window

    return show


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
def test_it_fits(table: Callable[..., Window], scheme: str, width: int, height: int) -> None:
    window = table(width=width, height=height, scheme=scheme)
    assert window.page.evaluate(OVERFLOW) <= 0
    box = window.page.locator('[data-testid="stDataFrame"]').first.bounding_box()
    assert box
    assert box["y"] < height / 2 + 40, "rows are on the first screen"
    assert box["x"] + box["width"] <= width
    tick(window, 0, 1)
    press(window, "results_compare")
    shows(window.page.locator(".sh-beside thead th"), 3)
    assert window.page.evaluate(OVERFLOW) <= 0
    assert window.errors == []


def test_filters_are_in_the_address_and_an_address_filters(table: Callable[..., Window]) -> None:
    window = table("?students=plain_5k&find=labels&page=7")
    assert "find=labels" in window.page.url
    assert window.text(".st-key-results_table .sh-story").startswith("0 of")
    press(window, "results_all")
    assert "students" not in window.page.url
    window.page.locator(".st-key-results_find input").fill("depthwise_28k")
    window.page.keyboard.press("Enter")
    settle(window)
    window.page.wait_for_function("location.search.includes('find=depthwise_28k')")
    narrowed = window.text(".st-key-results_table .sh-story")
    again = table("?find=depthwise_28k")
    assert again.text(".st-key-results_table .sh-story") == narrowed
    assert window.errors == again.errors == []


def test_what_an_address_gets_wrong_is_told_in_a_line_each(table: Callable[..., Window]) -> None:
    window = table("?students=nobody&sort=beauty")
    alert = window.page.locator('[data-testid="stAlert"]')
    shows(alert, 2)
    told = [alert.nth(number).inner_text() for number in range(2)]
    assert sorted(name for name in ("students", "sort") for text in told if f"URL: {name}" in text) == [
        "sort",
        "students",
    ]
    shows(window.page.locator('[data-testid="stDataFrame"]'), 1)


def test_ticks_last_through_sorting_pages_and_a_visit_elsewhere(table: Callable[..., Window]) -> None:
    window = table()
    page = window.page
    tick(window, 0, 2)
    first = chosen(window)
    assert len(first) == 2
    page.locator('[data-testid="stPagination"] button').filter(has_text="2").first.click()
    settle(window)
    page.wait_for_function("location.search.includes('page=2')")
    tick(window, 1)
    three = chosen(window)
    assert three[:2] == first
    assert len(three) == 3
    page.get_by_role("link", name="Front").click()
    page.wait_for_url("**/front*")
    page.get_by_role("link", name="Results").click()
    settle(window)
    page.wait_for_function("location.search.includes('chosen=')")
    assert chosen(window) == three
    press(window, "results_clear")
    assert chosen(window) == []
    assert window.errors == []


def test_a_click_on_a_head_sorts_and_another_turns_it_round(table: Callable[..., Window]) -> None:
    window = table("?columns=key.quality")
    page = window.page
    box = page.locator('[data-testid="stDataFrame"]').first.bounding_box()
    assert box
    for order in ("-quality", "quality"):
        page.mouse.click(box["x"] + box["width"] - 60, box["y"] + HEAD / 2)
        settle(window)
        page.wait_for_function(f"new URLSearchParams(location.search).get('sort') === '{order}'")
    assert window.errors == []


def test_star_note_and_compare(table: Callable[..., Window]) -> None:
    window = table("?origins=trial")
    page = window.page
    tick(window, 1, 2, 3)
    press(window, "results_star")
    assert page.locator(".st-key-results_star button").first.inner_text() == "Take star back"
    page.get_by_role("button", name="Note").first.click()
    page.locator("textarea").first.fill("the one to <b>beat</b>")
    page.locator("textarea").first.blur()
    settle(window)
    page.locator(".st-key-results_note_keep button").first.click()
    settle(window)
    found = table("?whose=starred&find=beat")
    assert found.text(".st-key-results_table .sh-story").startswith("3 of")
    keys = chosen(window)
    press(window, "results_compare")
    heads = page.locator(".sh-beside thead a").all_inner_texts()
    assert heads == keys
    body = page.locator(".sh-beside").inner_text()
    assert "Settings that differ" in body
    assert "points" in body
    page.wait_for_function("document.querySelectorAll('.st-key-results_beside .js-plotly-plot .main-svg').length >= 2")
    press(window, "results_star")  # as it was
    assert window.errors == []


def test_delete_asks_first_and_tells(table: Callable[..., Window]) -> None:
    window = table("?find=depthwise_10k&origins=trial.shipped")
    before = int(window.text(".st-key-results_table .sh-story").split()[0])
    tick(window, 0)
    window.page.get_by_role("button", name="Delete").first.click()
    window.page.locator(".st-key-results_delete button").first.click()
    settle(window)
    told = window.page.locator('[data-testid="stAlert"]').first.inner_text()
    assert "eleted: 1." in told
    after = int(window.text(".st-key-results_table .sh-story").split()[0])
    assert after == (before - 1 if told.startswith("Deleted") else before)
    assert chosen(window) == []
    assert window.errors == []


@pytest.mark.parametrize(("kind", "begins"), [("csv", b"\xef\xbb\xbfkey"), ("parquet", b"PAR1")])
def test_downloads(table: Callable[..., Window], kind: str, begins: bytes) -> None:
    window = table("?find=plain_5k")
    window.page.get_by_role("button", name="Download").first.click()
    with window.page.expect_download() as waiting:
        window.page.locator(f".st-key-results_{kind} button").first.click()
    got = waiting.value
    assert got.suggested_filename == f"stillhouse-fashion_mnist.{kind}"
    with open(got.path(), "rb") as file:
        assert file.read().startswith(begins)


def test_a_click_on_a_key_opens_its_page(table: Callable[..., Window]) -> None:
    window = table("?columns=key.quality")
    box = window.page.locator('[data-testid="stDataFrame"]').first.bounding_box()
    assert box
    window.page.mouse.click(box["x"] + 90, box["y"] + HEAD + ROW / 2)
    window.page.wait_for_url("**/trial?key=*")
    window.page.go_back()
    window.page.wait_for_selector(".sh-sizes")
    window.page.wait_for_function("location.search.includes('columns=key.quality')")
