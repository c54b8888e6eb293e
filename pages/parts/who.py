"""Who looks at the page: a cookie that the server sets, never an address, since people share addresses.

Without the server's cookie (one person on this machine, tests) everybody is ``local``. The cookie itself is a secret
between browser and server; the store and the pages only know a digest of it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re

import streamlit as st

from engine import api, api_people
from engine.home import Home
from pages.parts.words import say
from pages.server.keys import HOST_COOKIE, WHO_COOKIE, is_who

HOST_TOKEN, JOIN_CODE = "STILLHOUSE_HOST_TOKEN", "STILLHOUSE_JOIN_CODE"
_MARKS = re.compile(r"[!-/:-@\[-`{-~]")  # every character that can mean something in Markdown


def who() -> str:
    """The id under which the store knows this browser: ``local``, or 16 hexadecimal digits."""
    cookie = st.context.cookies.get(WHO_COOKIE, "")
    return id_of(cookie) if shared() and is_who(cookie) else api.LOCAL


def id_of(cookie: str) -> str:
    """What the store knows of a cookie: enough to tell people apart, nothing to come in with."""
    return hashlib.sha256(cookie.encode()).hexdigest()[:16]


def shared() -> bool:
    """Whether several people use this server, each known by a cookie (``stillhouse app --join-code``)."""
    return bool(os.environ.get(JOIN_CODE) or os.environ.get(HOST_TOKEN))


def is_host() -> bool:
    """Whether this browser may cancel and delete anything: alone on this machine, or with the host's token."""
    token = os.environ.get(HOST_TOKEN, "")
    given = st.context.cookies.get(HOST_COOKIE, "")
    return not shared() or (bool(token) and hmac.compare_digest(given.encode(), token.encode()))


def name(home: Home) -> str:
    """What this person is called: the name that they typed, else a short made-up one."""
    return say("who.local") if who() == api.LOCAL else name_of(home, who())


def name_of(home: Home, person: str) -> str:
    """What the others call a person: the name that was typed, else a short made-up one."""
    return api_people.names(home).get(person) or say("who.guest", short=person[:4])


def plain(text: str) -> str:
    """What a person typed, as Markdown that shows it letter by letter: no link, no picture, no colour."""
    return _MARKS.sub(r"\\\g<0>", text)


def typed(home: Home) -> str:
    """The name that this person has typed, or nothing."""
    return api_people.names(home).get(who(), "")
