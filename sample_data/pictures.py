"""Pictures for the page Methods: what each method does to a real layer, computed by the method's own code.

    python -m sample_data.pictures

Every registered stage acts on the shipped student, or on a small language model where it is for texts alone; every
registered loss teaches it for one batch of real images; what comes out is kept in pictures.npz (plain arrays, read
without torch). A stage that acts while training gets one epoch. About a minute on one core. ``--only NAME`` makes one
entry anew and keeps the others.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine import registry
from engine.files import atomic_write
from engine.home import Home
from engine.modalities import IMAGE
from sample_data import pictures_losses, pictures_stages, pictures_text
from sample_data.pictures_student import LAYER, STUDENT, shipped_student

PATH = Path(__file__).with_name("pictures.npz")
KINDS = ("stages", "losses")
Arrays = dict[str, NDArray[Any]]


def entry(kind: str, name: str, home: Home) -> tuple[dict[str, Any], Arrays]:
    """What is told of one method, and its arrays by name."""
    if kind == "losses":
        return pictures_losses.picture(name)
    return (pictures_text if pictures_text.suits(name) else pictures_stages).picture(name, home)


def common(home: Home) -> tuple[dict[str, Any], Arrays]:
    """What all pictures share: the layer before, the images and both answers to them."""
    weights = shipped_student().get_submodule(LAYER).weight.detach()
    facts = {"student": STUDENT, "layer": LAYER, "shape": list(weights.shape), **pictures_losses.facts()}
    return facts, {"before": pictures_stages.matrix(weights), **pictures_losses.answers()}


def make(only: str = "") -> tuple[dict[str, Any], Arrays]:
    """The index and all arrays; with ``only`` the other entries are those of the file."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home.locate(folder)
        facts, arrays = common(home)
        index: dict[str, Any] = {**facts, "stages": {}, "losses": {}}
        old_index, old = read() if only else ({}, {})
        for kind, name in wanted():
            if only and name != only and name in old_index.get(kind, {}):
                index[kind][name] = old_index[kind][name]
                arrays |= {k: v for k, v in old.items() if k.startswith(f"{kind}/{name}/")}
                continue
            index[kind][name], found = entry(kind, name, home)
            arrays |= {f"{kind}/{name}/{k}": v for k, v in found.items()}
            print(kind, name, index[kind][name].get("settings", ""), file=sys.stderr)
    return index, arrays


def wanted() -> Iterator[tuple[str, str]]:
    """Kind and name of every method that has a picture: losses are shown on images, so those for texts have none."""
    return ((kind, name) for kind in KINDS for name, entry in registry.registered(kind).items()
            if kind != "losses" or IMAGE in entry.modalities)  # fmt: skip


def read(path: Path = PATH) -> tuple[dict[str, Any], Arrays]:
    """The index and the arrays of a file."""
    with np.load(path, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    return json.loads(arrays.pop("index").tobytes()), arrays


def write(index: Mapping[str, Any], arrays: Arrays, path: Path = PATH) -> None:
    """Write the file; the same arrays give the same bytes."""
    text = json.dumps(index, allow_nan=False).encode()
    out = io.BytesIO()
    np.savez_compressed(out, index=np.frombuffer(text, np.uint8), **dict(sorted(arrays.items())))
    atomic_write(path, out.getvalue())
    path.chmod(0o644)


def main() -> None:
    """Make every picture and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="one method to make anew")
    torch.set_num_threads(1)
    write(*make(parser.parse_args().only))
    print(f"{PATH.name}: {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
