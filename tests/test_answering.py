"""Models answer an image in a child process: one for everybody, replaced when it ended, never waited for in vain."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.answering import Answerer
from engine.errors import TrialFailedError

IMAGE = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)


def model(path: Path, factor: float) -> Path:
    """A file that answers ``factor`` times its input."""
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Mul", ["flat", "factor"], ["logits"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("input", ["batch", 1, 2, 2]), ("logits", ["batch", 4]))
    ]
    factors = numpy_helper.from_array(np.array(factor, np.float32), "factor")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [factors])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    onnx.checker.check_model(made)
    return path


@pytest.fixture
def answerer() -> Iterator[Answerer]:
    made = Answerer()
    yield made
    made.close()


def children() -> list[psutil.Process]:
    return [c for c in psutil.Process().children() if any("answering_worker" in word for word in c.cmdline())]


def test_every_model_answers_with_its_own_file(answerer: Answerer, tmp_path: Path) -> None:
    paths = [model(tmp_path / f"{f}.onnx", f) for f in (1.0, 3.0)]
    first, second = answerer.ask(paths, IMAGE)
    assert first.logits.tolist() == [0, 1, 2, 3]
    assert second.logits.tolist() == [0, 3, 6, 9]
    assert all(0 < a.milliseconds < 1000 for a in (first, second))


def test_a_file_that_was_written_again_is_read_again(answerer: Answerer, tmp_path: Path) -> None:
    path = model(tmp_path / "a.onnx", 1.0)
    answerer.ask([path], IMAGE)
    model(path, 2.0)
    assert answerer.ask([path], IMAGE)[0].logits.tolist() == [0, 2, 4, 6]


def test_many_people_share_one_process(answerer: Answerer, tmp_path: Path) -> None:
    paths = [model(tmp_path / f"{f}.onnx", f) for f in range(1, 6)]
    before, told = len(children()), {}

    def person(number: int) -> None:
        told[number] = answerer.ask([paths[number % 5]], IMAGE)[0].logits.tolist()

    threads = [threading.Thread(target=person, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(children()) == before + 1
    assert all(told[n] == [0, f, 2 * f, 3 * f] for n in range(20) for f in (n % 5 + 1,))


def test_a_child_that_died_is_replaced(answerer: Answerer, tmp_path: Path) -> None:
    path = model(tmp_path / "a.onnx", 2.0)
    answerer.ask([path], IMAGE)
    (child,) = children()
    child.kill()
    assert answerer.ask([path], IMAGE)[0].logits.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_broken_file_is_told_and_the_next_question_answered(
    answerer: Answerer, tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(content)
    with pytest.raises(TrialFailedError, match="cannot answer"):
        answerer.ask([broken], IMAGE)
    with pytest.raises(TrialFailedError, match="cannot answer"):
        answerer.ask([tmp_path / "none.onnx"], IMAGE)
    assert answerer.ask([model(tmp_path / "a.onnx", 1.0)], IMAGE)[0].logits[3] == 3


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf.py"
    deaf.write_text("import time\ntime.sleep(60)\n")
    made = Answerer(deaf, limit=0.3)
    with pytest.raises(TrialFailedError, match="did not answer within"):
        made.ask([tmp_path / "a.onnx"], IMAGE)
    made.close()


def test_the_child_imports_nothing_heavy_of_ours() -> None:
    text = (Path(__file__).parents[1] / "engine" / "answering_worker.py").read_text()
    assert "engine" not in [line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith("from ")]
    assert "torch" not in text


def test_a_child_that_always_ends_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone.py"
    gone.write_text("raise SystemExit\n")
    made = Answerer(gone)
    with pytest.raises(TrialFailedError, match="ended twice"):
        made.ask([tmp_path / "a.onnx"], IMAGE)
    made.close()
