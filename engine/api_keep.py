"""What people keep beside results: stars, notes; and deleting a result that nobody else asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

from engine import api_home, api_people, api_rows, store_read
from engine.errors import InputError, NotFoundError
from engine.home import Home
from engine.store import Store

NOTE_LENGTH = 500


def marks(home: Home, who: str) -> dict[str, dict[str, Any]]:
    """Stars and notes by trial: ``{"stars": by how many, "mine": whether one is who's, "notes": [...]}``.

    A note is ``{"who", "name", "note", "at"}`` (``at`` in seconds since 1970, ``name`` "" without one), oldest first.
    """
    found: dict[str, dict[str, Any]] = {}
    rows = api_home.store_of(home).rows(
        "SELECT m.*, coalesce(p.name, '') AS name FROM marks m LEFT JOIN people p ON p.who = m.who ORDER BY m.at"
    )
    for row in rows:
        mark = found.setdefault(row["key"], {"stars": 0, "mine": False, "notes": []})
        mark["stars"] += row["star"]
        mark["mine"] |= bool(row["star"]) and row["who"] == who
        if row["note"]:
            mark["notes"].append({name: row[name] for name in ("who", "name", "note", "at")})
    return found


def star(home: Home, key: str, who: str, on: bool) -> None:
    """Give or take back one's star; raises :class:`NotFoundError` for a trial without a result."""
    _there(home, key)
    api_home.store_of(home).mark(key, who, star=on)


def note(home: Home, key: str, who: str, text: str) -> None:
    """Write one's note on a trial; "" deletes it. Raises :class:`InputError` above 500 characters.

    Line breaks stay, other control characters are refused. Raises :class:`NotFoundError` for a trial without a result.
    """
    tidy = text.strip().replace("\r\n", "\n")
    if len(tidy) > NOTE_LENGTH or not tidy.replace("\n", "").replace("\t", "").isprintable():
        raise InputError("your note", text, f"up to {NOTE_LENGTH} printable characters")
    _there(home, key)
    api_home.store_of(home).mark(key, who, note=tidy)


def delete(home: Home, keys: Iterable[str], who: str, host: bool = False) -> dict[str, Any]:
    """Delete results with their files: ``{"deleted": [key, ...], "refused": {key: reason}}``.

    A person deletes what they asked for and nobody else did, the host anything; shipped results stay, and what is
    queued or running must be cancelled first. A deleted trial can be run again.
    """
    store = api_home.store_of(home)
    wanted = list(dict.fromkeys(keys))
    refused = {key: reason for key in wanted if (reason := _refusal(store, key, who, host))}
    deleted = store.remove([key for key in wanted if key not in refused])
    for key in deleted:
        shutil.rmtree(home.artifact(key), ignore_errors=True)
    late = "it was queued or deleted a moment ago; look again"
    refused |= {key: late for key in wanted if key not in refused and key not in deleted}
    return {"deleted": deleted, "refused": refused}


def _refusal(store: Store, key: str, who: str, host: bool) -> str:
    """Why a result may not be deleted; empty when it may."""
    if store_read.result(store, key) is None:
        shipped = any(e["result"]["key"] == key for e in api_rows.shipped())
        return "it came with the project; shipped results stay" if shipped else "there is no such result"
    own = "(id IN (?, 'inspect:' || ?, 'runtimes:' || ?) OR after = ?)"
    busy = f"SELECT kind FROM work WHERE {own} AND state IN ('queued', 'running')"
    if open_work := store.row(busy, key, key, key, key):
        said = {"grid": "its grid is", "inspect": "its inspection is", "runtimes": "its comparison is"}
        return f"{said.get(open_work['kind'], 'it is')} queued or running; cancel that first"
    asked = api_people.wishes(store, key)
    if host or asked == [who]:
        return ""
    return "others asked for it too" if who in asked else "only who asked for it, or the host, may delete it"


def _there(home: Home, key: str) -> None:
    stored = store_read.result(api_home.store_of(home), key) is not None
    if not stored and not any(e["result"]["key"] == key for e in api_rows.shipped()):
        raise NotFoundError(f"trial {key}: it has no result; only results can be starred or noted")
