"""The class chart in real browsers: two people and their host, one code, everybody's points, and a new beginning."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator

import pytest

from browser.conftest import Window, served, shows
from browser.seeded import seed
from browser.test_looks import OVERFLOW, contrast
from browser.test_workshop import CODE, RUNNING, TOKEN, come_in, wanted
from engine import api
from engine.home import Home
from engine.recipe import Recipe

pytestmark = pytest.mark.browser
CLASS = "/learn?step=class"
POINTS = ".st-key-chart_class path.point"
TASK = "fashion_mnist"


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Home]]:
    """A workshop's app on a home full of results that nobody has asked for, where nothing runs."""
    home = Home.locate(tmp_path_factory.mktemp("class"))
    seed(home)
    with pytest.MonkeyPatch.context() as patch, home.lock("runner").open("a") as lock:
        patch.setenv("STILLHOUSE_HOST_TOKEN", TOKEN)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with served(home, "--join-code", CODE) as address:
            yield address, home


def ask(window: Window, address: str, home: Home, student: str) -> None:
    """Press Run on a recipe that this home has measured already."""
    window.page.goto(f"{address}/?student={student}")
    window.page.wait_for_selector(".st-key-run button")
    window.page.wait_for_selector(RUNNING)
    window.page.click(".st-key-run button")
    wanted(window, home, Recipe.from_json({**api.default_recipe(TASK), "student": student}).key, 1)


def look(window: Window, address: str) -> None:
    window.page.goto(address + CLASS)
    window.page.wait_for_selector(".st-key-chart_class .main-svg")


def test_everybody_sees_everybodys_points_until_the_host_begins_anew(
    room: tuple[str, Home], opened: Callable[..., Window]
) -> None:
    address, home = room
    host = opened(f"{address}/?host={TOKEN}")
    host.page.wait_for_selector(".st-key-person")
    look(host, address)
    shows(host.page.locator(POINTS), 0)
    ann, bob = come_in(opened, address), come_in(opened, address, scheme="dark")
    ask(ann, address, home, "plain_1k5")
    shows(host.page.locator(POINTS), 1, why="the host's page follows by itself")
    ask(bob, address, home, "plain_5k")
    for window in (ann, bob):
        look(window, address)
        shows(window.page.locator(POINTS), 2)
        shows(window.page.locator(".st-key-chart_class").get_by_text("yours"), 1)
        shows(window.page.locator(".st-key-class_clear"), 0, why="only the host may begin anew")
        assert contrast(window, ".st-key-class_chart .sh-sub") >= 4.5
        assert window.page.evaluate(OVERFLOW) <= 0
        window.page.locator(".st-key-class_list summary").click()
        shows(window.page.locator(".sh-class tbody tr"), 2)
        shows(window.page.locator(".sh-class .sh-own"), 1)
    host.page.locator(".st-key-class_clear button").first.click()
    host.page.locator(".st-key-class_clear_yes button").first.click()
    shows(host.page.locator(POINTS), 0)
    look(ann, address)
    shows(ann.page.locator(POINTS), 0)
    assert host.errors == ann.errors == bob.errors == []
