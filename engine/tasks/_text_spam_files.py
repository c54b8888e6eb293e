"""Mails on the disk: wanted or unwanted, as ids of 4,096 words (see sample_data/README.md)."""

from __future__ import annotations

from engine.tasks._text_files import Stock

CLASSES = ("ham", "spam")
STOCK = Stock(
    task="text_spam",
    classes=CLASSES,
    sizes={"train": 3_031, "validation": 833, "test": 1_184},
    # sha256 over ids and labels of each split and over the word list, checked on loading
    digests={
        "train": "36a214a9ba64a4c906fe6926a172139d6e3127612031cfebc825e1059f2ab420",
        "validation": "a5d3a86d78c728a5ced9b82d7204a2f44c85c1f5d3b1c417132aa4eb37335452",
        "test": "bfdf8a8ad8f07e177a08bca4b2f12daa91765206c61880375eb11ed2fa5abe25",
        "words": "0c7b7170d738bb44fb0a501ccd1c3cca9088f5172380024a501ff2a8f47aa943",
    },
    restore="restore it with 'git checkout sample_data' or build it again with 'python -m sample_data.build text_spam'",
)
read_sample = STOCK.read
read_outputs = STOCK.read_outputs
check_installed = STOCK.check_installed
