"""Who asks: the cookie of a browser, the host, the names that people type."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import streamlit as st

from engine import api_people
from engine.home import Home
from pages.parts import who
from pages.server import keys


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The cookies that the browser sends."""
    cookies: dict[str, str] = {}
    monkeypatch.setattr(st, "context", SimpleNamespace(cookies=cookies))
    for name in (who.JOIN_CODE, who.HOST_TOKEN):
        monkeypatch.delenv(name, raising=False)
    return cookies


@pytest.fixture
def workshop(browser: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv(who.JOIN_CODE, "tasting")
    monkeypatch.setenv(who.HOST_TOKEN, "a-token-of-the-host")
    browser[keys.WHO_COOKIE] = keys.new_who()
    return browser


def test_alone_everybody_is_local_and_the_host(browser: dict[str, str], tmp_path) -> None:
    browser[keys.WHO_COOKIE] = keys.new_who()
    assert who.who() == "local"
    assert who.is_host()
    assert who.name(Home.locate(tmp_path)) == "you"


def test_in_a_workshop_a_cookie_is_a_person_and_the_store_never_sees_it(workshop: dict[str, str]) -> None:
    first = who.who()
    assert len(first) == 16
    assert workshop[keys.WHO_COOKIE] not in first
    workshop[keys.WHO_COOKIE] = keys.new_who()
    assert who.who() != first


def test_only_the_token_makes_the_host(workshop: dict[str, str]) -> None:
    assert not who.is_host()
    for guess in ("", "a-token", "ä", "a-token-of-the-host "):
        workshop[keys.HOST_COOKIE] = guess
        assert not who.is_host()
    workshop[keys.HOST_COOKIE] = "a-token-of-the-host"
    assert who.is_host()


def test_no_token_means_no_host(workshop: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(who.HOST_TOKEN, "")
    workshop[keys.HOST_COOKIE] = ""
    assert not who.is_host()


@pytest.mark.usefixtures("workshop")
def test_a_typed_name_replaces_the_made_up_one(tmp_path) -> None:
    home = Home.locate(tmp_path)
    assert who.name(home) == f"guest {who.who()[:4]}"
    assert who.typed(home) == ""
    api_people.remember(home, who.who(), "Ada")
    assert (who.name(home), who.typed(home)) == ("Ada", "Ada")
    assert who.name_of(home, "f" * 16) == "guest ffff"


def test_a_name_is_shown_letter_by_letter() -> None:
    assert who.plain("[x](http://e) :red[b] $1$ <b>`c`") == (r"\[x\]\(http\:\/\/e\) \:red\[b\] \$1\$ \<b\>\`c\`")
    assert who.plain("Ada Lovelace") == "Ada Lovelace"
