"""Write the shipped sizes anew after a change of the packed format; nothing is measured again.

    python -m sample_data.repack [--home DIR]

Every shipped student is rebuilt from the trained prefixes that the home of ``sample_data.ship`` keeps (what is missing
is trained), packed, decoded and compared; its ``packed_bytes`` in shipped_results.json and shipped/index.json and the
files in shipped/ are replaced. A student whose ONNX file has another size than the one that was measured is refused:
then the graph has changed as well, and ``python -m sample_data.ship`` must measure it.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch

from engine import artifact
from engine.artifact import decoder
from engine.artifact.packing import Coded, Codes, Product, pack
from engine.artifact.wire import spans
from engine.files import atomic_write
from engine.home import Home
from engine.recipe import Recipe
from engine.student import train
from engine.teaching import load_teacher
from engine.workbench import Bench
from sample_data.ship import HERE, IMAGES, dense

RESULTS, FOLDER = HERE / "shipped_results.json", HERE / "shipped"


def again(packed: bytes) -> bytes:
    """A packed file of any version in today's format; what is known of its tensors is read from its index."""
    onnx = decoder.decode(packed)
    found = pack(onnx, codes(onnx, packed))
    if decoder.decode(found) != onnx:
        raise RuntimeError("the decoder gives another file")
    return found


def codes(onnx: bytes, packed: bytes) -> Codes:
    """Integers with their scales, and products of two tensors, as the packed file holds them."""
    index, streams = decoder.contents(packed)
    named, plain, found, at = {s.start: s for s in spans(onnx)}, {}, {}, 0
    for literal, *which in index["holes"]:
        span = named[at + literal]
        at = span.stop
        if len(which) == 1:
            plain[which[0]] = span.name
        elif streams[which[0]].dtype == "i1":
            scale = streams[which[1]]
            found[span.name] = Coded(streams[which[0]].reshape(len(scale), -1), scale)
        else:
            found[span.name] = Product(*(plain[i] for i in which))
    return found


def packed_bytes(row: dict[str, Any], home: Home) -> int:
    """The size of one shipped result's packed file, built anew."""
    teacher = row["recipe"]["student"] == "teacher"
    bench = Bench(dense(IMAGES, "plain_10k") if teacher else Recipe.from_json(row["recipe"]), home)
    if not teacher and bench.recipe.key != row["key"]:
        raise RuntimeError(f"{row['key']}: its recipe has another key now; run sample_data.ship")
    built = artifact.build(load_teacher("teacher") if teacher else train(bench).model, bench.example)
    if len(built.onnx) != row["cost"]["onnx_bytes"]:
        raise RuntimeError(f"{row['key']}: its ONNX file has {len(built.onnx)} bytes now; run sample_data.ship")
    if decoder.decode(built.packed()) != built.onnx:
        raise RuntimeError(f"{row['key']}: the decoder gives another file")
    return len(built.packed())


def main() -> None:
    """Replace sizes and files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="build/ship", help="where sample_data.ship keeps trained students")
    home = Home.locate(parser.parse_args().home)
    torch.set_num_threads(1)
    entries, sizes = json.loads(RESULTS.read_text(encoding="utf-8")), {}
    for entry in entries:
        row = entry["result"]
        old, row["cost"]["packed_bytes"] = row["cost"]["packed_bytes"], packed_bytes(row, home)
        sizes[row["key"]] = row["cost"]["packed_bytes"]
        print(row["recipe"]["student"], old, sizes[row["key"]], file=sys.stderr)
    index = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    for item in index:
        path = FOLDER / f"{item['key']}.packed"
        atomic_write(path, again(path.read_bytes()))
        path.chmod(0o644)
        item["packed_bytes"] = path.stat().st_size
        if item["packed_bytes"] != sizes[item["key"]]:
            raise RuntimeError(f"{path.name} has {item['packed_bytes']} bytes, its result {sizes[item['key']]}")
    text = ",\n".join(json.dumps(e, separators=(",", ":"), allow_nan=False) for e in entries)
    RESULTS.write_text(f"[\n{text}\n]\n", encoding="utf-8")
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
