"""What the language models of a point write: a prompt continued by teacher, dense student and student. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from engine import answering, api, api_answers, bpe
from engine.api_images import files_of
from engine.errors import InputError
from engine.figures.soft_targets import soft_targets
from engine.generation import PAD, Sampling
from engine.home import Home

__all__ = ["MOST_PROMPT", "MOST_TOKENS", "Sampling", "likeliest", "prompt_ids", "samples"]

MOST_TOKENS, MOST_PROMPT, NEXT = 200, 2_000, 8


def prompt_ids(task: str, prompt: str) -> list[int]:
    """The tokens of a prompt; raises :class:`InputError` where there is none to begin with."""
    if len(prompt) > MOST_PROMPT:
        raise InputError("prompt", f"{len(prompt):,} characters", f"at most {MOST_PROMPT:,} characters")
    files = files_of(task)
    found = bpe.encode(prompt, files.FOLDER / files.TOKENIZER)
    if not found:
        raise InputError("prompt", prompt[:40], "a text with at least one letter or sign of ASCII")
    return found


def samples(home: Home, key: str, prompt: str, tokens: int, sampling: Sampling) -> dict[str, Any]:
    """Every network's continuation of ``prompt`` by ``tokens`` tokens, from its own file.

    ``{"prompt": tokens as text, "models": [{"role", "name", "bytes", "text", "milliseconds", "next"}], "missing"}``:
    ``text`` is the continuation alone, milliseconds one token's on average, ``next`` the likeliest first tokens with
    their probabilities at the temperature (1 where that is 0). Raises :class:`InputError`.
    """
    if not 1 <= tokens <= MOST_TOKENS:
        raise InputError("tokens", tokens, f"a whole number from 1 to {MOST_TOKENS}")
    run = api.result(home, key)
    task = str(run["recipe"]["task"])
    ids, spelled = prompt_ids(task, prompt), files_of(task).tokens()
    found, missing = api_answers.models(home, run)
    asked = {"paths": [str(path) for *_, path in found], "ids": ids, "tokens": tokens, "sampling": asdict(sampling)}
    told = answering.tell({"generate": asked})["texts"] if found else []
    rows = [
        {"role": role, "name": name, "bytes": size, "text": "".join(spelled[i] for i in text["ids"]),
         "milliseconds": text["milliseconds"], "next": likeliest(text["logits"], sampling.temperature, spelled)}
        for (role, name, size, _), text in zip(found, told, strict=True)
    ]  # fmt: skip
    return {"prompt": [spelled[i] for i in ids], "models": rows, "missing": missing}


def likeliest(logits: Sequence[float], temperature: float, spelled: Sequence[str]) -> list[tuple[str, float]]:
    """The ``NEXT`` likeliest tokens with their probabilities; padding never comes."""
    values = np.array(logits, np.float64)
    values[PAD] = values.min() - 1e3
    shares = soft_targets(values.tolist(), temperature or 1.0)
    best = sorted(range(len(shares)), key=lambda i: -shares[i])[:NEXT]
    return [(spelled[i], shares[i]) for i in best]
