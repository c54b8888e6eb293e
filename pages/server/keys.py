"""The join code, the host's token and the cookies that they earn; no network here.

Everything that a browser sends is compared in constant time. Wrong codes are counted by address and together, since a
whole class may share one address and one attacker may have many.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

WHO_COOKIE, JOIN_COOKIE, HOST_COOKIE = "stillhouse_who", "stillhouse_join", "stillhouse_host"
WHO_BYTES, SECRET_BYTES = 16, 32
SECRET_FILE = "server.key"
WINDOW_SECONDS, WRONG_OF_ONE, WRONG_OF_ALL, MOST_ADDRESSES = 60.0, 10, 120, 4096
_WHO = re.compile(r"[A-Za-z0-9_-]{22}")


def new_who() -> str:
    """A new browser's cookie: 128 random bits in 22 characters."""
    return secrets.token_urlsafe(WHO_BYTES)


def is_who(cookie: str) -> bool:
    """Whether a cookie has the form of one that this server gives."""
    return _WHO.fullmatch(cookie) is not None


def secret_of(folder: Path) -> bytes:
    """The key that signs cookies, kept in the home for its owner alone: a restart asks nobody for the code again."""
    path = folder / SECRET_FILE
    try:
        # O_EXCL: never over one that another server has just made
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
    except FileExistsError:
        found = path.read_bytes()
        if len(found) == SECRET_BYTES:
            return found
        # half a key (a full disk, a kill while it was written) would be a weak one: this start uses its own
        return secrets.token_bytes(SECRET_BYTES)
    return path.read_bytes()


@dataclass(frozen=True)
class Keys:
    """What opens this server: ``code`` for everybody ("": none is asked for), ``token`` for the host ("": no host)."""

    code: str
    token: str
    secret: bytes = field(repr=False)

    @property
    def shared(self) -> bool:
        """Whether several people use this server."""
        return bool(self.code or self.token)

    def opens(self, code: str) -> bool:
        """Whether somebody typed the join code, or the host's token."""
        return _same(code.strip(), self.code) or self.is_token(code.strip())

    def is_token(self, token: str) -> bool:
        """Whether this is the host's token."""
        return _same(token, self.token)

    def seal(self, who: str) -> str:
        """The cookie that says that ``who`` has given the code; worth nothing to anybody else or after another code."""
        return hmac.new(self.secret, f"{self.code}\n{who}".encode(), hashlib.sha256).hexdigest()

    def admits(self, cookies: dict[str, str]) -> bool:
        """Whether a browser with these cookies may come in."""
        who = cookies.get(WHO_COOKIE, "")
        if not is_who(who):
            return not self.shared
        if not self.code or self.is_token(cookies.get(HOST_COOKIE, "")):
            return True
        return _same(cookies.get(JOIN_COOKIE, ""), self.seal(who))


class Attempts:
    """Wrong codes of the last minute; who has given too many waits, and so does everybody once there are very many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=WRONG_OF_ALL)

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        now = self._clock()
        own = self._by_address.get(_block(address), ())
        return max(_left(own, WRONG_OF_ONE, now), _left(self._all, WRONG_OF_ALL, now))

    def wrong(self, address: str) -> None:
        """Count a wrong code."""
        name = _block(address)
        own = self._by_address.setdefault(name, deque(maxlen=WRONG_OF_ONE))
        self._by_address.move_to_end(name)
        own.append(self._clock())
        self._all.append(self._clock())
        if len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)


def _left(times: deque[float] | tuple[()], most: int, now: float) -> float:
    return max(0.0, times[0] + WINDOW_SECONDS - now) if len(times) >= most else 0.0


def _block(address: str) -> str:
    """One line of an IPv6 network counts as one address: its owner has 2**64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address


def _same(given: str, wanted: str) -> bool:
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())
