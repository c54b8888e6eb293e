"""Train the linear teacher of the topics again: ``python -m sample_models.train_linear`` (needs scikit-learn).

Needs the posts (``python -m sample_data.build text_topics``). Logistic regression on TF-IDF with C = 10, which was
chosen on validation among 1, 10 and 100; test is read once. Writes the weights and the outputs on all splits.
"""

from __future__ import annotations

import hashlib
import math

import torch
from safetensors.torch import save
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from engine.errors import StillhouseError
from engine.files import atomic_write
from engine.tasks import _text_files as text_files
from engine.tasks._text_topics_files import CLASSES, STOCK
from sample_models.linear_text import WEIGHTS, WORDS, LinearText

STRENGTH = 10.0


def tensors(split: str) -> tuple[Tensor, Tensor]:
    """Ids [N, T] and labels [N]."""
    texts = STOCK.read(split)
    return torch.from_numpy(texts.ids.astype("int64")), torch.from_numpy(texts.labels.astype("int64"))


def rarity(ids: Tensor, words: int) -> Tensor:
    """[V] 1 + log((1 + N) / (1 + n)), n of N texts hold the word; 0 for padding, unknown words and marks."""
    holders = torch.zeros(words)
    for row in ids:
        holders[row.unique()] += 1
    weights = 1 + math.log(1 + len(ids)) - torch.log1p(holders)
    weights[: text_files.END + 1] = 0
    return weights


@torch.no_grad()
def logits_of(model: LinearText, ids: Tensor) -> Tensor:
    """Logits [N, C]."""
    return torch.cat([model(part) for part in torch.split(ids, 500)])


@torch.no_grad()
def train(ids: Tensor, labels: Tensor, words: int, classes: int) -> LinearText:
    """The fitted model; its head in half precision already, as it is shipped."""
    model = LinearText(words, classes).eval()
    model.weigh.weights.copy_(rarity(ids, words))
    features = torch.cat([model.weigh(part).to_sparse() for part in torch.split(ids, 500)]).coalesce()
    rows, columns = features.indices().numpy()
    matrix = csr_matrix((features.values().numpy(), (rows, columns)), shape=tuple(features.shape))
    fitted = LogisticRegression(C=STRENGTH, max_iter=500).fit(matrix, labels.numpy())
    model.head.weight.copy_(torch.from_numpy(fitted.coef_).half())
    model.head.bias.copy_(torch.from_numpy(fitted.intercept_).half())
    return model


def main() -> None:
    """Train, write, measure."""
    torch.set_num_threads(1)
    try:
        model = train(*tensors("train"), WORDS, len(CLASSES))
    except StillhouseError as problem:
        raise SystemExit(str(problem)) from None
    state = {name: value.half() if name.startswith("head") else value for name, value in model.state_dict().items()}
    content = save({name: value.contiguous() for name, value in state.items()})
    atomic_write(WEIGHTS, content)
    outputs = {}
    for split in text_files.SPLITS:
        ids, labels = tensors(split)
        logits = logits_of(model, ids)
        outputs[split] = logits.numpy()
        print(f"linear_topics on {split}: {float((logits.argmax(1) == labels).double().mean()):.4f}", flush=True)
    text_files.write_outputs(STOCK.outputs("linear_topics"), outputs, hashlib.sha256(content).hexdigest())


if __name__ == "__main__":
    main()
