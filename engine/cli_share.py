"""Whom ``stillhouse app`` lets in: this machine alone, or a workshop with a join code and a host."""

from __future__ import annotations

import argparse
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import InputError

CODE, TOKEN = "STILLHOUSE_JOIN_CODE", "STILLHOUSE_HOST_TOKEN"
NAMES, CAP = "STILLHOUSE_HOST_NAMES", "STILLHOUSE_CAP"
SHARED_CAP = 20  # trials that one person may have open where several people use one machine
SHORTEST_CODE, LONGEST_CODE, SHORTEST_TOKEN = 4, 100, 16
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)


@dataclass(frozen=True)
class Sharing:
    """Who may come in: ``code`` "" asks for none, ``token`` "" has no host (one person, who may do everything)."""

    host: str
    port: int
    code: str = ""
    token: str = ""
    cap: int | None = None
    names: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """What the page server reads; not its command line, which everybody on this machine can see."""
        cap = {CAP: str(self.cap)} if self.cap else {}
        return {CODE: self.code, TOKEN: self.token, NAMES: ",".join(self.names), **cap}

    def address(self) -> str:
        """Where a browser finds the app: for all addresses of the machine, the one that its network knows."""
        host = network_address() if _is_any(self.host) else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def host_address(self) -> str:
        """Where the host's browser goes once."""
        return f"{self.address()}/?host={self.token}" if self.token else self.address()

    def lines(self) -> list[str]:
        """What the terminal says once the server answers."""
        said = [f"Stillhouse is at {self.address()} (Ctrl-C stops it)"]
        if self.code:
            said.append(f"People join with the code {self.code}; each may have {self.cap} trials open")
        elif self.token:
            said.append(f"Everybody who reaches it may start trials, {self.cap} at a time each: no join code was given")
        if self.token:
            said.append(f"The host, who may cancel and delete anything, opens {self.host_address()}")
        return said


def sharing_of(options: argparse.Namespace, environment: Mapping[str, str]) -> Sharing:
    """The options of ``app`` checked; raises :class:`InputError` for what would let in more than was said."""
    code = _code(options.join_code if options.join_code is not None else environment.get(CODE, ""))
    loopback = _is_loopback(options.host)
    if not (loopback or code or options.i_know):
        raise InputError("--host", options.host, "127.0.0.1; with --join-code CODE (or --i-know: no code at all) "
                         "another one, since whoever reaches it can start trials")  # fmt: skip
    names = tuple(_name(n) for n in options.allow_host)
    shared = bool(code) or not loopback
    cap = options.cap or _cap(environment.get(CAP, "")) or (SHARED_CAP if shared else None)
    token = _token(environment.get(TOKEN, "")) if shared else ""
    return Sharing(options.host, options.port, code, token, cap, names)


def network_address() -> str:
    """This machine's address on its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of no machine: this only chooses the way out
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def reachable(host: str) -> str:
    """An address of this machine at which a server that listens at ``host`` answers."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise InputError("--host", host, "127.0.0.1, localhost or another address of this machine in numbers") from None


def _code(text: str) -> str:
    code = text.strip()
    if code and (not SHORTEST_CODE <= len(code) <= LONGEST_CODE or not code.isprintable()):
        allowed = f"{SHORTEST_CODE} to {LONGEST_CODE} characters that can be typed"
        raise InputError("--join-code", text, allowed, secrets.token_hex(4))
    if text and not code:
        raise InputError("--join-code", text, f"{SHORTEST_CODE} to {LONGEST_CODE} characters that can be typed")
    return code


def _token(text: str) -> str:
    if text and len(text) < SHORTEST_TOKEN:
        raise InputError(TOKEN, text, f"at least {SHORTEST_TOKEN} characters that nobody can guess")
    if text and not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise InputError(TOKEN, text, "letters, digits, - and _")
    return text or secrets.token_urlsafe(16)


def _cap(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise InputError(CAP, text, "a whole number from 1 to 10000")
    return int(text)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise InputError("--allow-host", text, "a name as it stands in an address, such as workshop.example.org")
    return text.lower()
