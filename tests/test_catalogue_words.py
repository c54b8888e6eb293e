"""What plug-ins say is said in every language, completely, in its own words and with the same numbers."""

import dataclasses
import json
import re
from collections import defaultdict

import pytest
from streamlit.testing.v1 import AppTest

from engine import api_methods, api_sweeps, catalogue
from engine.knobs import Knob
from pages.parts import catalogue_words, methods_list, sweep_words, words

LANGUAGES = sorted(p.parent.name for p in words.FOLDER.glob("*/catalogue"))
KINDS = ("tasks", "models", "losses", "stages")
CHINESE = re.compile("[\u4e00-\u9fff]")
MILLIONS = {"1.5", "1.9", "11.2", "12"}  # of parameters; Chinese counts in ten thousands
NUMBER = re.compile(r"\d[\d,.]*\d|\d")
each_language = pytest.mark.parametrize("language", LANGUAGES)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_LANGUAGE", "zh")


def rows(kind):
    return catalogue.current().rows[kind]


def knobs_of():
    """(kind, name, knob) of every setting in the catalogue."""
    for kind in ("losses", "stages"):
        for name in rows(kind):
            yield from ((kind, name, knob) for knob in catalogue.current().knobs(kind, name))


def spoken(language):
    """(place, English, other language) of every message that has an English sentence of its own."""
    read = catalogue_words.load(language)
    for kind in KINDS:
        for name, own in read[kind].items():
            for field in set(own) & set(catalogue_words.FIELDS):
                yield f"{kind}.{name}.{field}", rows(kind)[name][field], own[field]
    for kind, name, knob in knobs_of():
        said = read[kind][name].get("knobs", {}).get(knob.name) or read["knobs"][knob.name]
        yield f"{kind}.{name}.{knob.name}", knob.help, said
    for ready in api_sweeps.ready("fashion_mnist"):
        for field in ("title", "help"):
            yield f"sweeps.{ready['name']}.{field}", ready[field], read["sweeps"][ready["name"]][field]


def leaves(entry, place=""):
    for key, value in entry.items():
        at = f"{place}.{key}" if place else key
        if isinstance(value, dict):
            yield from leaves(value, at)
        else:
            yield at, value


def test_there_is_chinese():
    assert "zh" in LANGUAGES


@each_language
def test_no_word_is_missing_or_left_over(language):
    read, wanted, found = catalogue_words.load(language), set(), set()
    for kind in KINDS:
        for name, row in rows(kind).items():
            wanted |= {f"{kind}.{name}.{field}" for field in catalogue_words.FIELDS if row.get(field)}
    found |= {f"{kind}.{n}.{f}" for kind in KINDS for n, own in read[kind].items() for f in own}
    found = {place for place in found if place.rsplit(".", 1)[1] not in ("knobs", "class_names")}
    optional = {f"{kind}.{name}.{field}" for kind in KINDS for name in rows(kind) for field in ("licence", "source")}
    assert sorted(wanted - found - optional) == [], "missing"
    assert sorted(found - wanted) == [], "left over"


@each_language
def test_every_setting_is_explained_once(language):
    read, english = catalogue_words.load(language), defaultdict(set)
    known, missing = defaultdict(set), []
    for kind, name, knob in knobs_of():
        known[kind, name].add(knob.name)
        if knob.name in read[kind].get(name, {}).get("knobs", {}):
            continue
        if knob.name not in read["knobs"]:
            missing.append(f"{kind}.{name}.knobs.{knob.name}")
        english[knob.name].add(knob.help)
    assert missing == []
    # what is written once for several must be the same sentence in English, too
    assert {name: sorted(helps) for name, helps in english.items() if len(helps) > 1} == {}
    assert sorted(set(read["knobs"]) - set(english)) == [], "left over in knobs"
    own = {(k, n, s) for k in ("losses", "stages") for n, r in read[k].items() for s in r.get("knobs", {})}
    assert sorted(place for place in own if place[2] not in known[place[:2]]) == [], "left over"


@each_language
def test_every_setting_and_choice_has_a_name(language):
    read, names = catalogue_words.load(language), {knob.name for *_, knob in knobs_of()}
    choices = {(knob.name, c) for *_, knob in knobs_of() for c in knob.choices or () if re.search("[a-z]", c)}
    choices |= {("metric", row["metric"]) for row in rows("tasks").values()}
    choices |= {("family", row["family"]) for row in rows("models").values()}
    found = {(name, choice) for name, chosen in read["options"].items() for choice in chosen}
    messages = ("label", "sweep_label")  # come first where they have a name
    unnamed = {n for n in names if not any(words.find(f"{place}.{n}", "en") for place in messages)}
    assert sorted(unnamed - set(read["labels"])) == [], "missing"
    assert sorted(c for c in choices - found if not words.find(".".join(("option", *c)), "en")) == [], "missing"
    assert sorted(set(read["labels"]) - names) == [], "left over"
    assert sorted(found - choices) == [], "left over"


@each_language
def test_classes_are_named_all_or_not_at_all(language):
    own = catalogue_words.load(language)["tasks"]
    assert {"fashion_mnist", "text_spam"} <= {name for name, row in own.items() if "class_names" in row}
    for name, row in own.items():
        if "class_names" in row:
            assert list(row["class_names"]) == list(rows("tasks")[name]["class_names"]), name
            assert len(set(row["class_names"].values())) == len(row["class_names"])


@each_language
def test_ready_made_sweeps_are_named(language):
    ready = {row["name"]: {"title", "help"} for task in rows("tasks") for row in api_sweeps.ready(task)}
    assert {name: set(own) for name, own in catalogue_words.load(language)["sweeps"].items()} == ready


@each_language
def test_no_message_is_the_english_one(language):
    assert [place for place, english, said in spoken(language) if said.strip() == english.strip()] == []


@each_language
def test_numbers_are_those_of_the_english(language):
    """A figure that was measured again has to be changed in every language."""
    wrong = {}
    for place, english, said in spoken(language):
        lost = set(NUMBER.findall(english)) - set(NUMBER.findall(said))
        lost -= MILLIONS if place.startswith("models.") else set()
        if lost:
            wrong[place] = sorted(lost)
    assert wrong == {}


@each_language
@each_kind
def test_titles_are_unique(language, kind):
    titles = [own["title"] for own in catalogue_words.load(language)[kind].values()]
    assert len(set(titles)) == len(titles)


@each_language
def test_files_are_plain_utf8(language):
    for path in (words.FOLDER / language / "catalogue").glob("*.json"):
        text = path.read_bytes().decode("utf-8")
        assert not text.startswith("\ufeff"), path.name
        assert "\\u" not in text, path.name
        assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=2) + "\n", path.name


def test_chinese_is_written_as_chinese():
    """Chinese letters, full-width punctuation, a space before and after Latin letters and digits."""
    for place, said in leaves(catalogue_words.load("zh")):
        if not place.startswith(("labels.", "options.")):
            assert CHINESE.search(said), place
        assert not re.search("[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9%][\u4e00-\u9fff]", said), f"{place}: {said}"
        assert not re.search("[\u4e00-\u9fff][,;:!?()]|[,;!?(][\u4e00-\u9fff]", said), f"{place}: {said}"
        assert not re.search("[，。：；（）] | [，。：；（）]", said), f"{place}: {said}"


def test_english_is_what_the_catalogue_says(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_LANGUAGE", "en")
    assert catalogue_words.row("losses", "kd") == rows("losses")["kd"]
    assert catalogue_words.knobs("stages", "quantize_linear") == catalogue.current().knobs("stages", "quantize_linear")
    assert catalogue_words.class_name("fashion_mnist", "Trouser") == "Trouser"
    assert catalogue_words.label("held_out") == "Held out"
    assert catalogue_words.option("measure", "energy") == "energy"


def test_chinese_words_of_a_method(chinese):
    assert catalogue_words.title_of("losses", "kd") == "蒸馏（软目标）"
    assert catalogue_words.row("losses", "kd")["source"] == rows("losses")["kd"]["source"]
    helps = {k.name: k.help for k in catalogue_words.knobs("losses", "kd")}
    assert helps["temperature"].startswith("学生模仿之前")  # its own
    assert helps["weight"].startswith("教师相对于标签")  # shared
    assert catalogue_words.class_names("fashion_mnist", ("Bag", "Coat")) == ("包", "外套")
    assert catalogue_words.class_name("text_topics", "sci.med") == "sci.med"
    assert catalogue_words.option("pattern", "2:4") == "2:4"


def test_bounds_of_knobs_stay(chinese):
    for kind, name, knob in knobs_of():
        said = next(k for k in catalogue_words.knobs(kind, name) if k.name == knob.name)
        assert CHINESE.search(said.help), (kind, name, knob.name)
        assert {**said.to_json(), "help": ""} == {**knob.to_json(), "help": ""}


def test_a_method_of_a_folder_of_plug_ins_speaks_english(chinese, monkeypatch):
    knob = Knob("weight", "float", 0.5, "How heavy it is.", 0.0, 1.0)
    own = {**rows("losses")["kd"], "name": "mine", "title": "Mine", "help": "Does it.", "knobs": [knob.to_json()]}
    merged = catalogue.Catalogue({**catalogue.current().rows, "losses": {**rows("losses"), "mine": own}})
    monkeypatch.setattr(catalogue, "current", lambda: merged)
    assert catalogue_words.title_of("losses", "mine") == "Mine"
    assert catalogue_words.help_of("losses", "mine") == "Does it."
    assert catalogue_words.knobs("losses", "mine") == (knob,)
    assert catalogue_words.label("how_heavy") == "How heavy"


def test_a_sweep_of_nobodys_is_named_in_english(chinese):
    assert catalogue_words.field_of("sweeps", "mine", "title", "Mine") == "Mine"
    assert catalogue_words.field_of("sweeps", "seeds", "title", "How much is chance?") == "偶然有多大？"


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("methods", {"method": "quantize_linear"}),
        ("methods", {"method": "fashion_mnist"}),
        ("explore", {"bits": "4", "pruning": "magnitude", "loss": "attention"}),
        ("sweep", {}),
    ],
)
def test_no_page_shows_the_english_of_a_plug_in(page, address, home, chinese, monkeypatch):
    monkeypatch.setattr("engine.api.ensure_runner", lambda *_: None)
    monkeypatch.setenv("STILLHOUSE_HOME", str(home.root))
    at = AppTest.from_string(f"from pages import {page}\n{page}.draw()", default_timeout=60)
    at.query_params.update(address)
    at.run()
    assert not at.exception
    sent = b"".join(e.proto.SerializeToString() for part in (at.main, at.sidebar) for e in part if e.proto)
    said = [(english, other) for _, english, other in spoken("zh") if " " in english]
    assert sum(other.encode() in sent for _, other in said) > 5
    assert sorted({english for english, _ in said if english.encode() in sent}) == []


def test_the_search_of_methods_knows_both_languages(chinese):
    known = [dataclasses.replace(e, row=catalogue_words.row(e.kind, e.name)) for e in api_methods.entries()]
    for typed in ("软目标", "soft targets", "Hinton"):
        assert "kd" in {e.name for e in methods_list.matching(known, typed)}, typed
    kd = next(e for e in known if e.name == "kd")
    assert methods_list.short(kd) == "软目标"


def test_a_sweep_s_axes_are_named_in_the_session_s_language(monkeypatch):
    told = {"loss": "Distillation (soft targets) (2)", "schedule": "one_shot", "student": "plain_10k", "held_out": 0.2}
    monkeypatch.setenv("STILLHOUSE_LANGUAGE", "en")
    assert [catalogue_words.axis(name) for name in told] == list(told)
    assert sweep_words.value_words(told["loss"], "loss") == told["loss"]
    monkeypatch.setenv("STILLHOUSE_LANGUAGE", "zh")
    assert all(CHINESE.search(catalogue_words.axis(name)) for name in told)
    said = {name: sweep_words.value_words(value, name) for name, value in told.items()}
    assert said["loss"] == "蒸馏（软目标） (2)"
    assert CHINESE.search(said["schedule"])
    assert (said["student"], said["held_out"]) == ("plain_10k", "0.2")
