"""The linear teacher of texts: its weighing is scikit-learn's, its training too, order and padding change nothing."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from engine.registry import get
from engine.tasks._text_topics_files import CLASSES, STOCK
from engine.teaching import load_teacher
from sample_models import train_linear

WORDS = 30


def texts(count: int = 60) -> tuple[Tensor, Tensor]:
    """Ids [N, 12] with padding, labels [N]; class k likes word 5 + k."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, WORDS, (count, 12), generator=generator)
    labels = torch.arange(count) % 3
    ids[:, 0], ids[:, 1] = 2, 5 + labels
    ids[:, 8:] *= (torch.arange(count) % 2)[:, None]
    return ids, labels


def counts(ids: Tensor) -> csr_matrix:
    table = np.zeros((len(ids), WORDS))
    for row, words in enumerate(ids.tolist()):
        for word in words:
            table[row, word] += word > 3
    return csr_matrix(table)


def test_it_agrees_with_scikit_learn() -> None:
    ids, labels = texts()
    model = train_linear.train(ids, labels, WORDS, 3)
    weighing = TfidfTransformer(sublinear_tf=True).fit(counts(ids))
    features = weighing.transform(counts(ids))
    np.testing.assert_allclose(model.weigh(ids).numpy(), features.toarray(), atol=1e-5)
    fitted = LogisticRegression(C=train_linear.STRENGTH, max_iter=500).fit(features, labels.numpy())
    np.testing.assert_allclose(model(ids).detach().numpy(), fitted.decision_function(features), atol=0.02)


def test_order_and_padding_change_nothing() -> None:
    ids, labels = texts()
    model = train_linear.train(ids, labels, WORDS, 3)
    with torch.no_grad():
        expected = model(ids)
        torch.testing.assert_close(model(ids.flip(1)), expected)
        torch.testing.assert_close(model(torch.nn.functional.pad(ids, (0, 5))), expected)
        assert model(torch.zeros(1, 12, dtype=torch.int64)).isfinite().all()


def test_the_shipped_one_knows_topics_by_their_words() -> None:
    teacher, vocabulary = load_teacher("linear_topics"), STOCK.vocabulary()
    sentences = {
        "rec.sport.hockey": "the goalie and the nhl playoffs",
        "sci.space": "a shuttle in orbit around the moon",
        "rec.motorcycles": "my bike needs a helmet said the rider",
    }
    for group, sentence in sentences.items():
        ids = torch.from_numpy(vocabulary.encode(sentence.split()).astype("int64"))[None]
        with torch.no_grad():
            assert CLASSES[int(teacher(ids).argmax())] == group


def test_its_answers_are_shipped_without_the_posts() -> None:
    weights = get("models", "linear_topics").facts()["weights_sha256"]
    outputs = STOCK.read_outputs("linear_topics", weights)
    assert {name: rows.shape for name, rows in outputs.items()} == {n: (STOCK.sizes[n], 20) for n in outputs}
