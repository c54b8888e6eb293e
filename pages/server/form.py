"""The form that asks for the join code: one small page of its own, without scripts, in light and dark."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs, urlencode, urlsplit

from pages.parts.language import ENGLISH
from pages.parts.words import say_in

PATH, NEXT, CODE = "/join", "next", "code"
MOST_BYTES = 4096
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 16px/1.5 system-ui, sans-serif;
  background: light-dark(#fdfcfa, #15171a); color: light-dark(#23211f, #eceae6); }
main { width: min(26rem, calc(100vw - 3rem)); }
h1 { font: 600 1.8rem/1.2 "Source Serif 4", Georgia, serif; margin: 0 0 .4rem; }
p { margin: 0 0 1rem; }
label { display: block; margin: 1.2rem 0 .3rem; font-weight: 600; }
input, button { font: inherit; box-sizing: border-box; width: 100%; padding: .6rem .8rem; border-radius: 8px; }
input { border: 1px solid light-dark(#8a8378, #767c82); background: light-dark(#fff, #202327); color: inherit; }
button { margin-top: .9rem; border: 0; font-weight: 600; cursor: pointer;
  background: light-dark(#a44a12, #e08d52); color: light-dark(#fff, #1d1206); }
:focus-visible { outline: 3px solid light-dark(#a44a12, #e08d52); outline-offset: 2px; }
[role=alert] { border-left: 3px solid light-dark(#b3261e, #f2b8b5); padding-left: .8rem; }
small { display: block; margin-top: 1.2rem; color: light-dark(#5c564e, #a9b0b6); }
"""


def html(target: str, problem: str = "", spoken: str = ENGLISH) -> bytes:
    """The form; ``target``: the address inside this server that opens afterwards, ``problem``: what went wrong."""
    action = escape(f"{PATH}?{urlencode({NEXT: inside(target)})}")
    told = f'<p role="alert" id="problem">{escape(problem)}</p>' if problem else ""
    described = ' aria-describedby="problem" aria-invalid="true"' if problem else ""
    names = ("title", "lead", "label", "button", "note")
    title, lead, label, button, note = (escape(say_in(spoken, f"join.{name}")) for name in names)
    return (
        f'<!doctype html><html lang="{spoken}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1><p>{lead}</p>{told}"
        f'<form method="post" action="{action}"><label for="code">{label}</label>'
        f'<input id="code" name="{CODE}" required autofocus autocomplete="off" autocapitalize="none" '
        f'spellcheck="false" maxlength="200"{described}><button>{button}</button></form>'
        f"<small>{note}</small></main></body></html>"
    ).encode()


def inside(target: str) -> str:
    """``target`` when it is an address inside this server, else the first page: nobody is sent elsewhere."""
    parts = urlsplit(target)
    local = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if local and target.isprintable() and not target.startswith(PATH) else "/"


def code_of(body: bytes) -> str:
    """What was typed, from the body of the form."""
    return (parse_qs(body.decode("utf-8", "replace")).get(CODE) or [""])[0]


def asked_for(query: str) -> str:
    """The page that somebody wanted before the form came in between."""
    return inside((parse_qs(query).get(NEXT) or ["/"])[0])
