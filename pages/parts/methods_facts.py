"""What a method needs and when it acts, as a few words each; pure functions over its catalogue row."""

from __future__ import annotations

from typing import Any

from engine.api_methods import Entry
from pages.parts import catalogue_words
from pages.parts.words import count, find, say


def chips(entry: Entry) -> list[str]:
    """The facts of an entry, each in a few words."""
    return list({"losses": _loss, "stages": _stage, "models": _model, "tasks": _task}[entry.kind](entry.row))


def _loss(row: Any) -> list[str]:
    return [say("methods_fact.trains"), say(f"methods_fact.{'teacher' if row['needs_teacher'] else 'no_teacher'}")]


def _stage(row: Any) -> list[str]:
    found = [find(f"methods_order.{row['order']}") or str(row["order"])]
    needs = row.get("needs_epochs", {})
    for name, words in needs.items():
        knob = next((k for k in row["knobs"] if k["name"] == name), {})
        if set(words) >= set(knob.get("choices", ())):
            found.append(say("methods_fact.epochs"))
        else:
            found.append(say("methods_fact.epochs_if", setting=f"{name} = {', '.join(words)}"))
    return found if needs else [*found, say("methods_fact.at_once")]


def _model(row: Any) -> list[str]:
    return [
        say("methods_fact.parameters", count=count(row["parameters"])),
        say(f"methods_role.{row['role']}"),
        say("methods_fact.family", name=catalogue_words.option("family", row["family"])),
        say("methods_fact.pace", seconds=f"{row['seconds_per_epoch']:g}"),
        say("methods_fact.tasks", names=", ".join(row["tasks"])),
    ]


def _task(row: Any) -> list[str]:
    return [
        say("methods_fact.classes", count=row["classes"]),
        say("methods_fact.train", count=count(row["train_size"])),
        say("methods_fact.metric", name=catalogue_words.option("metric", row["metric"])),
        say("methods_fact.licence", name=row["licence"]),
    ]
