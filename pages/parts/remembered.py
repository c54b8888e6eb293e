"""Drawings with words in them, remembered: once for each language, so that nobody is shown another person's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import streamlit as st

from pages.parts.language import current

_P = ParamSpec("_P")
_R = TypeVar("_R")
SPOKEN = inspect.Parameter("spoken", inspect.Parameter.POSITIONAL_OR_KEYWORD)


def by_language(max_entries: int) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """``st.cache_resource`` that keeps apart what is drawn for sessions of different languages."""

    def decorate(draw: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(draw)
        def drawn(_: str, *args: _P.args, **kwargs: _P.kwargs) -> _R:
            return draw(*args, **kwargs)

        # Streamlit tells what is hashed by the parameters' names: the language, then the function's own
        own = inspect.signature(draw)
        signed = own.replace(parameters=[SPOKEN, *own.parameters.values()])
        drawn.__signature__ = signed  # type: ignore[attr-defined]
        kept = cast("Callable[..., _R]", st.cache_resource(max_entries=max_entries, show_spinner=False)(drawn))

        @functools.wraps(draw)
        def asked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            return kept(current(), *args, **kwargs)

        asked.clear = kept.clear  # type: ignore[attr-defined]
        return asked

    return decorate
