"""The page Learn without a browser: its address, its steps, what it says of each answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lesson_tools import EXPERIMENT, row, toml, words
from streamlit.testing.v1 import AppTest

from engine import api, api_lessons, api_people, lessons
from engine.figures import verdict
from engine.home import Home
from engine.lesson_check import Finding
from pages.parts import learn_check, learn_predict, learn_say, learn_state, lesson_recipes
from pages.parts.learn_state import Asked

SCRIPT = """
from pages import learn
learn.draw()
"""
Page = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two lessons of our own in place of the shipped ones."""
    made = tmp_path / "lessons"
    made.mkdir()
    (made / "one.toml").write_text(toml(row(order=1)), encoding="utf-8")
    second = {"measure": "packed_bytes", "claim": "less", "margin": 0.1, "answers": ["more", "less"]}
    (made / "two.toml").write_text(toml(row(order=2, check=second)), encoding="utf-8")
    monkeypatch.setattr(lessons, "FOLDER", made)
    return made


@pytest.fixture
def page(home: Home, monkeypatch: pytest.MonkeyPatch) -> Page:
    """Opens the page with an address; nothing runs."""
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)

    def opened(**address: str) -> AppTest:
        test = AppTest.from_string(SCRIPT, default_timeout=30)
        for name, value in address.items():
            test.query_params[name] = value
        return test.run()

    return opened


def finding(outcome: str, value: float = 0.05) -> Finding:
    return Finding(value, value - 0.01, value + 0.01, outcome, 5000, 0.8 + value, 0.8)


def parameters(test: AppTest) -> dict[str, str]:
    """The address as the browser would have it; a test that asks before any change gets lists."""
    return {n: v if isinstance(v, str) else v[0] for n, v in test.query_params.items()}


def told(test: AppTest) -> str:
    """All that stands on the page outside of controls."""
    return " ".join(str(e.value) for kind in ("html", "markdown", "warning", "info", "error") for e in test.get(kind))


def test_the_address_is_read_and_written() -> None:
    known = api_lessons.known()
    address = {"lesson": "two", "step": "check", "seed": "7", "choice": "less", "temperature": "9"}
    asked = learn_state.read(address, known)
    assert asked == Asked("two", "check", 7, "less", {"temperature": "9"})
    assert learn_state.write(asked) == address
    assert learn_state.read({}, known) == Asked("one")


@pytest.mark.parametrize(
    ("name", "value", "told_of"),
    [("lesson", "onne", "one"), ("step", "runs", "run"), ("seed", "-1", "seed"), ("seed", "x", "seed"),
     ("choice", "same", "choice")],
)  # fmt: skip
def test_what_cannot_be_is_said_and_left_out(name: str, value: str, told_of: str) -> None:
    asked = learn_state.read({"lesson": "two", name: value}, api_lessons.known())
    assert len(asked.problems) == 1
    assert told_of in asked.problems[0]
    usual = learn_state.read({"lesson": "two"} if name != "lesson" else {}, api_lessons.known())
    assert getattr(asked, name) == getattr(usual, name)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(learn_state.NAMES), st.text(max_size=12)))
def test_any_address_is_read(address: dict[str, str]) -> None:
    known = lessons.known()
    asked = learn_state.read(address, known)
    again = learn_state.read(learn_state.write(asked), known)
    assert again == Asked(asked.lesson, asked.step, asked.seed, asked.choice, asked.figure)


def test_a_lesson_is_read_then_predicted(page: Page) -> None:
    test = page(lesson="one")
    assert not test.exception
    assert "The question of it." in told(test)
    test.button(key="learn_to_predict").click().run()
    assert parameters(test)["step"] == "predict"
    assert test.button(key="learn_go").disabled
    test.radio(key="learn_choice").set_value("less").run()
    assert parameters(test)["choice"] == "less"
    assert not test.button(key="learn_go").disabled


def test_both_runs_are_asked_for_once(page: Page, home: Home) -> None:
    test = page(lesson="one", step="predict", choice="more", seed="3")
    test.button(key="learn_go").click().run()
    assert parameters(test)["step"] == "run"
    runs = lesson_recipes.runs(lessons.known()["one"], 3)
    active = {work["key"] for work in api.active(home)}
    assert active == {run.recipe.key for run in runs}
    assert {run.recipe.seed for run in runs} == {3}
    learn_predict.submit(home, runs)
    assert set(api_people.wanted_by(home, runs[0].recipe.key)) == {api.LOCAL}
    assert len(api.active(home)) == 2, "a lesson asked for twice is one run"
    test.button(key="learn_cancel").click().run()
    assert api.active(home) == []


@pytest.mark.parametrize("choice", ["", "more", "less", "same"])
@pytest.mark.parametrize("outcome", ["more", "less", "same", "undecided"])
def test_every_answer_is_explained(page: Page, monkeypatch: pytest.MonkeyPatch, choice: str, outcome: str) -> None:
    monkeypatch.setattr(learn_check, "finding", lambda *_: finding(outcome))
    test = page(lesson="one", step="check", choice=choice) if choice else page(lesson="one", step="check")
    assert not test.exception
    shown = told(test)
    verdicts = {
        "held": "prediction held",
        "failed": "did not hold",
        "undecided": "do not decide",
        "unpredicted": "was measured",
    }
    name = learn_check.verdict_of(choice, outcome)
    assert [n for n, text in verdicts.items() if text in shown] == [name]
    assert ("Because it is" in shown) == (bool(choice) or outcome != "undecided")
    if choice:
        assert f"Because it is {choice}." in shown
    assert (f"Because it is {outcome}." in shown) == (outcome != "undecided")
    assert ("The undecided of it." in shown) == (outcome == "undecided")


def test_nothing_is_told_before_both_are_measured(page: Page) -> None:
    shown = told(page(lesson="one", step="check", choice="more"))
    assert "have to finish first" in shown
    assert "prediction held" not in shown


def test_the_next_lesson_keeps_the_seed_and_forgets_the_choice(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn_check, "finding", lambda *_: finding("more"))
    test = page(lesson="one", step="check", choice="more", seed="4")
    test.button(key="learn_next").click().run()
    assert parameters(test) == {"lesson": "two", "seed": "4"}


def test_another_seed_runs_the_same_lesson(page: Page, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        learn_check, "finding", lambda _h, _c, runs: finding("more") if not runs[0].recipe.seed else None
    )
    test = page(lesson="one", step="check", choice="more")
    test.button(key="learn_seed_again").click().run()
    assert (parameters(test)["seed"], parameters(test)["step"]) == ("1", "run")
    assert len(api.active(home)) == 2


def test_a_file_that_is_no_lesson_is_told(page: Page, folder: Path) -> None:
    (folder / "bad.toml").write_text("order = 1", encoding="utf-8")
    assert "lessons/bad.toml" in told(page())


def test_a_lesson_that_cannot_run_can_be_read(page: Page, folder: Path) -> None:
    wrong = {**EXPERIMENT, "first": {"loss": "kd", "students": "x"}}
    (folder / "wrong.toml").write_text(toml(row(experiment=wrong)), encoding="utf-8")
    assert "The answer" not in told(page(lesson="wrong", step="predict"))
    assert "students" in told(page(lesson="wrong", step="predict"))
    assert not page(lesson="wrong").error


def test_no_lesson_at_all(page: Page, folder: Path) -> None:
    for path in folder.glob("*.toml"):
        path.unlink()
    test = page()
    assert not test.exception
    assert "no lesson" in told(test)


def test_it_speaks_chinese(page: Page, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_LANGUAGE", "zh")
    named = words(
        "学生模型可以向教师模型学习，教师给出的概率分布比单独一个标签含有更多的信息。" * 4, question="温度有什么用？"
    )
    (folder / "one.toml").write_text(toml(row(order=1, zh=named)), encoding="utf-8")
    assert "温度有什么用？" in told(page(lesson="one"))


def test_findings_in_their_units() -> None:
    known = lessons.known()
    share, size = known["one"].check, known["two"].check
    rows = learn_say.facts(share, finding("more"), "A", "B")
    assert [r[:2] for r in rows] == [
        ("A", "85.0 %"),
        ("B", "80.0 %"),
        ("first minus second, percentage points", "+5.0"),
    ]
    assert rows[2][2] == "95 % interval +4.0 to +6.0"
    exact = Finding(0.25, 0.25, 0.25, "less", 0, 2000, 8000)
    rows = learn_say.facts(size, exact, "A", "B")
    assert [r[1] for r in rows] == ["2 kB", "8 kB", "0.25×"]
    assert "counted" in rows[2][2]


def test_words_of_a_lesson_are_marked_and_nothing_else() -> None:
    assert learn_say.html("a **b** *c* `d` <i>") == "a <b>b</b> <em>c</em> <code>d</code> &lt;i&gt;"
    assert learn_say.html("2 * 3 < 7") == "2 * 3 &lt; 7"


def test_settings_that_differ() -> None:
    runs = lesson_recipes.runs(lessons.known()["one"], 0)
    assert lesson_recipes.differing(*runs)[0] == "loss"
    html = learn_predict.table(lessons.known()["one"], lessons.known()["one"].say("en"), runs)
    assert html.count("<tr>") >= 2
    assert "Epochs: 1" in html


def test_problems_of_a_lesson(folder: Path) -> None:
    def of(**changes: Any) -> list[str]:
        return lesson_recipes.problems(lessons.read("one", toml(row(**changes))))

    assert of() == []
    assert "no class" in of(check={"measure": "recall", "of": "Hat", "claim": "more", "margin": 0.1})[0]
    assert "same recipe" in of(experiment={**EXPERIMENT, "second": {"loss": "kd", "weight": 0.9}})[0]
    assert "loss" in of(experiment={**EXPERIMENT, "first": {"loss": "kdd"}})[0]
    beside = {"measure": "latency", "claim": "less", "margin": 0.1}
    assert "one student" in of(check=beside, experiment={**EXPERIMENT, "first": {"student": "plain_5k"}})[0]


def test_what_stands_above_the_chart_is_broken_into_lines_also_in_chinese() -> None:
    info = verdict.verdict_info(35.0, 30.0, 40.0, 5.0, "more", "same")
    names = {"less": "更少：T² 夸大了教师。", "same": "一样：常数无关紧要。", "more": "更多：有 T²，教师的话才听得到。"}
    told = [a["text"] for a in verdict.verdict_figure(info, names, "")["layout"]["annotations"]]
    assert told == ["更少：T² 夸大了教<br>师。", "▸ 一样：常数无关紧要。", "<b>更多：有 T²，教师的<br>话才听得到。</b>"]


@pytest.mark.parametrize(("value", "lifted"), [(2.7, 15), (1.1, 0)])
def test_a_large_ratio_lifts_the_name_in_the_middle_off_the_one_beside_it(value: float, lifted: int) -> None:
    info = verdict.verdict_info(value, value - 0.05, value + 0.05, 0.2, "more", "less", is_ratio=True)
    names = {"less": "Shorter.", "same": "About the same.", "more": "Longer."}
    drawn = verdict.verdict_figure(info, names, "")["layout"]
    assert [a["yshift"] for a in drawn["annotations"]] == [0, lifted, 0]
    assert drawn["margin"]["t"] == 15 + 8 + lifted


def test_three_long_names_leave_the_middle_one_a_row_of_its_own() -> None:
    info = verdict.verdict_info(0.2, 0.19, 0.21, 0.05, "more", "less")
    names = {"less": "Less unsure with forward KL.", "same": "It is the same teacher.", "more": "More unsure with it."}
    shown = verdict.verdict_figure(info, names, "")["layout"]["annotations"]
    assert [a["yshift"] for a in shown] == [0, 30, 0]


def test_thirty_learners_on_one_link_cause_one_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    runs = lesson_recipes.runs(lessons.known()["one"], 5)
    for number in range(30):
        monkeypatch.setattr(learn_predict.who, "who", lambda number=number: f"{number:016x}")
        learn_predict.submit(home, runs)
    assert sorted(work["key"] for work in api.active(home)) == sorted(run.recipe.key for run in runs)
    assert len(api_people.wanted_by(home, runs[0].recipe.key)) == 30
