"""The record: recipe, environment, attempts, who asked for it, which sweeps hold it, and its files to take away."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from engine import api, api_people
from engine.home import Home
from engine.units import format_seconds
from pages.parts import charts, control, details, links, trial_html
from pages.parts.words import find, listed, say

Row = Mapping[str, Any]
ZIP, SHELL, JSON = ".zip", "shell", "json"
JSON_TYPE, ZIP_TYPE, STAY = "application/json", "application/zip", "ignore"
ENVIRONMENT = ("machine", "device", "system", "python", "torch", "onnxruntime", "numpy", "onnx", "features", "cores",
               "timing_threads")  # fmt: skip


def panel(home: Home, view: Row) -> None:
    """Recipe on the left; files, machine, attempts and people on the right."""
    run = view["run"]
    left, right = st.columns(2, gap="small")
    with left, control.container(border=True, height="stretch", key="trial_recipe"):
        st.html(charts.title(say("trial_record.recipe"), say("trial_record.recipe_sub")))
        st.code(json.dumps(run["recipe"], indent=1), language=JSON, height=560)
        _download_text(run["recipe"], "recipe", run["key"])
    with right:
        with control.container(border=True, key="trial_files"):
            _files(home, run)
        with control.container(border=True, key="trial_made"):
            _made(home, view)


def _files(home: Home, run: Row) -> None:
    st.html(charts.title(say("trial_record.files"), say("trial_record.files_sub")))
    with st.container(horizontal=True, gap="small"):
        if has_files(run):
            control.download_button(say("trial_record.zip"), _zip(home, run["key"]), _name(run) + ZIP, ZIP_TYPE,
                                    key="trial_zip", on_click=STAY, help=say("trial_record.zip_help"),
                                    type="primary")  # fmt: skip
        _download_text(run, "result", run["key"])
    if not has_files(run):
        st.caption(say("trial_record.no_files"))
    st.code(say("trial_record.command", short=run["key"][: links.SHOWN_KEY], name=_name(run)), language=SHELL)


def has_files(run: Row) -> bool:
    """Whether the ONNX and the packed file are on this disk: grid points and shipped results have none."""
    files = run.get("artifact") or {}
    return all(Path(files.get(name) or "/").is_file() for name in ("onnx", "packed"))


def _download_text(content: Row, name: str, key: str) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    control.download_button(say(f"trial_record.{name}_json"), text, _file(name, key),
                            JSON_TYPE, key=f"trial_{name}_json", on_click=STAY,
                            help=say(f"trial_record.{name}_json_help"))  # fmt: skip


def _zip(home: Home, key: str) -> Any:
    """A function that makes the archive when somebody asks for it."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            files = api.export(home, key, Path(folder) / "trial")
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in files:
                    archive.write(path, path.name)
            return out.getvalue()

    return make


def _made(home: Home, view: Row) -> None:
    run = view["run"]
    st.html(charts.title(say("trial_record.made"), _made_words(run)))
    st.html(trial_html.table(_heads("environment"), environment(run)))
    if view["attempts"]:
        st.html(f'<h3 class="sh-model">{say("trial_record.attempts")}</h3>')
        st.html(trial_html.table(_heads("attempt"), [_attempt(a) for a in view["attempts"]]))
    wanted = view["wanted_by"]
    if wanted:
        names = api_people.names(home)
        people = listed(names.get(w) or (say("who.local") if w == api.LOCAL else say("who.guest", short=w[:4]))
                           for w in wanted)  # fmt: skip
        st.caption(say("trial_record.wanted", people=people))
    for sweep in view["sweeps"]:
        links.link("sweep", {"sweep": sweep["id"]}, say("trial_record.sweep", name=sweep["name"]),
                   say("trial_record.sweep_help"))  # fmt: skip


def environment(run: Row) -> list[list[str]]:
    """What the result says of the machine and programs, in rows of two."""
    found = run.get("environment") or {}
    rows = [[name, found[name]] for name in ENVIRONMENT if found.get(name) not in (None, "")]
    names = {name: find(f"trial_record.environment_name.{name}") or name for name, _ in rows}
    return [[names[n], ", ".join(map(str, v)) if isinstance(v, list) else str(v)] for n, v in rows]


def _made_words(run: Row) -> str:
    seconds = run.get("seconds")
    return say("trial_record.made_sub", seconds=format_seconds(seconds)) if seconds else say("trial_record.made_plain")


def _heads(table: str) -> list[str]:
    names = {"environment": ("what", "value"), "attempt": ("number", "started", "took", "ended")}[table]
    return [say(f"trial_record.{table}_{name}") for name in names]


def _attempt(row: Row) -> list[str]:
    started, ended = row.get("started"), row.get("ended")
    took = format_seconds(ended - started) if started and ended else say("trial_record.running")
    return [str(row["attempt"]), details.when(started), took, str(row.get("reason") or "")]


def _name(run: Row) -> str:
    return f"{run['recipe']['student']}-{run['key'][: links.SHOWN_KEY]}"


def _file(name: str, key: str) -> str:
    return f"{name}-{key[: links.SHOWN_KEY]}.json"
