"""Which names this server answers to, and whose pages may talk to it.

A page of another site can point its own name at this machine (DNS rebinding) or open a websocket to it. The first shows
in the Host header, the second in Origin; a browser lets no script change either.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

Header = tuple[bytes, bytes]
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?", re.IGNORECASE)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Refused:
    """Why a request is not answered: an HTTP status and a line for the person who looks for the reason."""

    status: int
    reason: str


def machine_names() -> frozenset[str]:
    """The names under which others of this network may know this machine."""
    name = socket.gethostname().lower().rstrip(".")
    return frozenset({name, name.split(".")[0], f"{name.split('.')[0]}.local"}) - {""}


def values(headers: Iterable[Header], name: bytes) -> list[str]:
    """All values of a header."""
    return [value.decode("latin-1").strip() for found, value in headers if found == name]


def refusal(headers: Sequence[Header], method: str, names: frozenset[str]) -> Refused | None:
    """Why this request is refused, or None. ``names``: hosts answered to beside localhost and addresses in numbers."""
    hosts = values(headers, b"host")
    if len(hosts) != 1 or not knows(hosts[0], names):
        return Refused(421, "this server does not answer to that name; start it with --allow-host NAME")
    if method in SAFE_METHODS:
        return None
    origins = values(headers, b"origin")
    foreign = values(headers, b"sec-fetch-site") not in ([], ["same-origin"], ["none"])
    if foreign or any(not same_origin(origin, hosts[0]) for origin in origins):
        return Refused(403, "this request comes from a page of another site")
    return None


def knows(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this server. An address in numbers does: it cannot be rebound."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower().rstrip(".")
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def same_origin(origin: str, host: str) -> bool:
    """Whether a page of ``origin`` came from the server that it talks to ("null" never does)."""
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
