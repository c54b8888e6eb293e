"""The allocator's setting: taken where the C library has it, and harmless elsewhere."""

from __future__ import annotations

import ctypes
import platform

import pytest

from engine.allocator import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_glibc_takes_it() -> None:
    keep_freed_memory.cache_clear()
    assert keep_freed_memory() is True


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    keep_freed_memory.cache_clear()
    assert keep_freed_memory() is False
    keep_freed_memory.cache_clear()
