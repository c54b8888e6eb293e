"""The folder that ``export`` writes: everything needed to run a trial's network elsewhere. No torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import FileError, InputError, NotFoundError
from engine.files import atomic_write, disk_errors
from engine.home import Home

DECODER = Path(__file__).with_name("artifact") / "decoder.py"


def export(home: Home, result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write ONNX, packed file, decoder, recipe, result and README into ``folder``; the paths written.

    Raises :class:`NotFoundError` for a trial without files and :class:`InputError` for a folder that cannot be one.
    """
    if result["quality"] is None:
        raise NotFoundError(f"trial {result['key']}: it is {result['state']}; only a finished trial can be exported")
    if folder.exists() and not folder.is_dir():
        raise InputError("folder", str(folder), "a folder, or a path where one can be made")
    found = {name: Path(path) for name, path in result["artifact"].items() if Path(path).is_file()}
    if "onnx" not in found:
        raise FileError(
            f"trial {result['key']}: its files are not in {home.artifact(result['key'])}; run it here again"
        )
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sources = [*found.values(), DECODER]
        written = [Path(shutil.copyfile(source, folder / source.name)) for source in sources]
    texts = {
        "recipe.json": json.dumps(result["recipe"], indent=1, ensure_ascii=False) + "\n",
        "result.json": json.dumps(_portable(result), indent=1, ensure_ascii=False) + "\n",
        "README.md": readme(result, found),
    }
    for name, text in texts.items():
        atomic_write(folder / name, text)
    return written + [folder / name for name in texts]


def readme(result: Mapping[str, Any], files: Mapping[str, Path]) -> str:
    """How to run the exported network, for somebody who has never seen this project."""
    quality, cost, recipe = result["quality"], result["cost"], result["recipe"]
    onnx, packed = files["onnx"].name, files["packed"].name if "packed" in files else None
    lines = [
        f"# {recipe['student']} for {recipe['task']}",
        "",
        f"Trial `{result['key']}`: {quality['metric']} {quality['value']:.4f} on validation (95 % interval "
        f"{quality['low']:.4f} to {quality['high']:.4f}), {cost['onnx_bytes']:,} bytes as ONNX, "
        f"{cost['packed_bytes']:,} bytes packed.",
        "",
        "Run it (`pip install onnxruntime numpy`):",
        "",
        "```python",
        "import numpy as np, onnxruntime",
        f'session = onnxruntime.InferenceSession("{onnx}")',
        "given = session.get_inputs()[0]",
        "x = np.zeros([d if isinstance(d, int) else 1 for d in given.shape], np.float32)  # put your input here",
        "print(session.run(None, {given.name: x})[0])",
        "```",
        "",
    ]
    if packed:
        lines += [
            f"`{packed}` holds the same network in fewer bytes; `decoder.py` rebuilds exactly `{onnx}` from it",
            "(`pip install zstandard numpy`):",
            "",
            "```sh",
            f"python decoder.py {packed} rebuilt.onnx",
            "```",
            "",
        ]
    return "\n".join(
        [
            *lines,
            "`recipe.json` repeats the trial: `stillhouse run recipe.json`. `result.json` is all that was measured.",
            "",
        ]
    )


def _portable(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**result, "artifact": {name: Path(path).name for name, path in result["artifact"].items()}}
