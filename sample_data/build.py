"""Build data again from their source: ``python -m sample_data.build [fashion_mnist|text_spam|text_topics]``.

``--to FOLDER`` writes elsewhere, ``--source FOLDER`` reads what lies there instead of fetching it. The texts are
described in ``text_spam.py`` and ``text_topics.py`` beside this file; without a name Fashion-MNIST is built.

Source: Debian package dataset-fashion-mnist 0.0~git20200523.55506a9-1, files
``/usr/share/datasets/fashion-mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz`` (the complete official data set,
60,000 + 10,000 images). Licence: MIT (Expat), copyright 2017 Zalando SE. Building twice gives identical files.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.errors import StillhouseError
from engine.tasks import _fashion_mnist_files as files
from sample_data import text_spam, text_topics


def splits(source: Path = files.DEBIAN) -> dict[str, files.Images]:
    """The three committed splits and ``full``, from the official files in ``source``."""
    pixels, labels = files.official("train", source)
    made = {name: files.Images(pixels[rows], labels[rows], rows) for name, rows in files.split_rows(labels).items()}
    test_pixels, test_labels = files.official("t10k", source)
    made["test"] = files.Images(test_pixels, test_labels, np.arange(len(test_labels)))
    return made


def build(to: Path, source: Path | None = None) -> list[Path]:
    """Write the three files into ``to`` and print their sizes and content hashes."""
    written = []
    for name, images in splits(source or files.DEBIAN).items():
        line = f'"{name}": "{files.digest(images.pixels, images.labels)}",  # {len(images.labels)} images'
        if name != "full":
            path = to / files.sample_path(name).name
            files.write_sample(path, images)
            written.append(path)
            line += f", {path.stat().st_size:,} bytes"
        print(line)
    return written


BUILDERS: dict[str, tuple[Callable[[Path, Path | None], list[Path]], Path]] = {
    "fashion_mnist": (build, files.FOLDER),
    "text_spam": (text_spam.build, text_spam.STOCK.folder),
    "text_topics": (text_topics.build, text_topics.STOCK.folder),
}


def main() -> None:
    """Parse the options and build."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.build", description=__doc__.splitlines()[0])
    parser.add_argument("task", nargs="?", choices=sorted(BUILDERS), default="fashion_mnist")
    parser.add_argument("--to", type=Path, help="folder for the files (default: where the project looks for them)")
    parser.add_argument("--source", type=Path, help="folder of the source's files (default: installed, or fetched)")
    options = parser.parse_args()
    builder, usual = BUILDERS[options.task]
    try:
        builder(options.to or usual, options.source)
    except StillhouseError as problem:
        raise SystemExit(str(problem)) from None


if __name__ == "__main__":
    main()
