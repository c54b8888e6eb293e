"""Time by operator, and the cause of being slower that is read off it: made-up profiles, and real graphs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engine import artifact, registry
from engine.errors import TrialFailedError
from engine.measure import profile
from engine.measure.causes import CAUSES, Evidence, Facts, profiled_cause
from engine.measure.latency import LatencyReading, to_latency
from engine.measure.profile import Node, Profile, kind, profiles, read, undisturbed, with_evidence

SHAPE = (1, 28, 28)
EIGHT_BITS = Facts(False, 8, 3, 10_000, 10_000)
FLOATS = Facts(False, None, 0, 10_000, 10_000)
READING = LatencyReading(0.2, 0.19, 0.21, 0.3, 0.2, 12, 1, "onnxruntime 1 CPU", 1, 1.3, 1.2, 1.4)


def evidence(*nodes: tuple[str, float, int], batch: int = 1, rest: float = 0.0) -> Evidence:
    """Of made-up operators: (operator, milliseconds, bytes); a processor that copies 10 GB a second."""
    made = tuple(Node(f"n{i}", op, kind(op), ms, size) for i, (op, ms, size) in enumerate(nodes))
    return Profile(batch, 10, sum(n.milliseconds for n in made) + rest, 1e10, 0, made).evidence()


class TestRules:
    @pytest.mark.parametrize(
        ("facts", "nodes", "ratio", "expected"),
        [
            (Facts(True, 4, 0, 10_000, 10_000), [("Conv", 0.9, 0), ("Relu", 0.1, 0)], 1.1, "no kernel"),
            (Facts(True, 8, 9, 10**6, 10**6), [("Conv", 3.0, 0), ("QGemm", 1.0, 0)], 1.1, "no kernel"),
            (Facts(False, None, 0, 10_000, 5_000), [("Conv", 0.9, 0), ("Relu", 0.1, 0)], 1.1,
             "zeros in a dense kernel"),
            (EIGHT_BITS, [("QLinearConv", 0.8, 0), ("QuantizeLinear", 0.2, 0)], 1.2, "conversion nodes"),
            (EIGHT_BITS, [("QLinearConv", 0.08, 0), ("QuantizeLinear", 0.02, 0)], 1.5, None),
            (EIGHT_BITS, [("QLinearConv", 0.01, 0), ("QuantizeLinear", 0.001, 0)], 1.5, "too small"),
            (EIGHT_BITS, [("MatMulNBits", 5.0, 40 * 10**6)], 1.1, "memory-bound"),
            (EIGHT_BITS, [("MatMulNBits", 50.0, 40 * 10**6)], 1.1, None),
            (EIGHT_BITS, [("MatMulInteger", 0.01, 10**6)], 1.1, "too small"),
            (FLOATS, [("Conv", 5.0, 0)], 1.1, None),
        ],
    )  # fmt: skip
    def test_made_up_profiles(self, facts: Facts, nodes: list[Any], ratio: float, expected: str | None) -> None:
        assert profiled_cause(facts, evidence(*nodes), ratio) == expected
        assert expected is None or expected in CAUSES

    def test_conversions_must_take_as_much_as_it_is_slower_by(self) -> None:
        found = evidence(("QLinearConv", 8.0, 0), ("QuantizeLinear", 2.0, 0))  # 20 % of the time: up to 1.25 times
        assert profiled_cause(EIGHT_BITS, found, 1.24) == "conversion nodes"
        assert profiled_cause(EIGHT_BITS, found, 1.26) is None

    def test_conversions_that_the_dense_student_has_too_explain_nothing(self) -> None:
        def made(*nodes: tuple[str, float]) -> Profile:
            return Profile(1, 10, sum(ms for _, ms in nodes), 1e10, 0,
                           tuple(Node(op, op, kind(op), ms, 0) for op, ms in nodes))  # fmt: skip

        # as plain_10k was seen: integer products take longer, and converting takes less than the floats' layouts
        mine = made(("QLinearConv", 0.0321), ("NhwcMaxPool", 0.0085), ("QuantizeLinear", 0.0017))
        dense = made(("Conv", 0.0286), ("MaxPool", 0.0085), ("ReorderOutput", 0.0043))
        assert profiled_cause(EIGHT_BITS, mine.evidence(), 1.03) == "conversion nodes"
        assert mine.evidence(dense).conversions == 0
        assert profiled_cause(EIGHT_BITS, mine.evidence(dense), 1.03) == "too small"
        without = made(("Conv", 0.0286), ("MaxPool", 0.0085), ("ReorderOutput", 0.0001))
        assert profiled_cause(EIGHT_BITS, mine.evidence(without), 1.03) == "conversion nodes"

    def test_small_is_counted_for_one_example(self) -> None:
        assert profiled_cause(EIGHT_BITS, evidence(("QLinearConv", 0.32, 0), batch=32), 2.0) == "too small"
        assert profiled_cause(EIGHT_BITS, evidence(("QLinearConv", 0.32, 0)), 2.0) is None

    def test_a_simulated_network_that_no_other_rule_explains_has_no_kernel(self) -> None:
        slow = evidence(("QLinearConv", 9.0, 0))
        assert profiled_cause(Facts(True, 5, 1, 10, 10), slow, 1.1) == "no kernel"
        assert profiled_cause(EIGHT_BITS, slow, 1.1) is None

    def test_a_result_keeps_the_cause_of_the_profile_and_else_the_rule_of_thumb(self) -> None:
        found = evidence(("QLinearConv", 0.1, 0), ("DequantizeLinear", 0.1, 0))
        told = to_latency(READING.explained(found), EIGHT_BITS, smaller=True)
        assert (told.slower_here, told.cause) == (True, "conversion nodes")
        assert to_latency(READING, EIGHT_BITS, smaller=True).cause == "too small"
        assert to_latency(READING.explained(found), EIGHT_BITS, smaller=False).cause is None
        again = LatencyReading(**READING.explained(found).to_json())
        assert to_latency(again, EIGHT_BITS, smaller=True) == told


class TestReading:
    def event(self, name: str, op: str, index: int, dur: int, **sizes: int) -> dict[str, Any]:
        args = {"op_name": op, "node_index": str(index), **{n: str(v) for n, v in sizes.items()}}
        return {"cat": "Node", "name": f"{name}_kernel_time", "dur": dur, "args": args}

    def test_operators_in_their_order_with_what_they_read_and_write(self) -> None:
        sizes = {"activation_size": 100, "parameter_size": 20, "output_size": 3}
        events = [{"cat": "Session", "name": "model_run", "dur": 900, "args": {}}]
        for dur in (500, 10, 10, 11, 11):  # the first call is slower
            events += [self.event("c", "QLinearConv", 7, dur, **sizes), self.event("f", "Flatten", 2, 1)]
        found = read(events, 1, 1.0, 1e9, 1000)
        assert [(n.name, n.op, n.kind) for n in found.nodes] == [
            ("c", "QLinearConv", "integer"), ("f", "Flatten", "other")
        ]  # fmt: skip
        assert [n.milliseconds for n in found.nodes] == pytest.approx([0.011, 0.0015])
        assert (found.nodes[0].moved_bytes, found.calls, found.milliseconds) == (103, 4, 1.0)
        assert found.evidence().moved_bytes == 1103

    def test_what_the_profiler_adds_is_taken_off(self) -> None:
        assert undisturbed([5.0, 1.0, 3.0], 20.0) == [5.0, 1.0, 3.0]
        assert undisturbed([5.0, 1.0, 3.0], 6.0) == pytest.approx(np.array([4.1, 0.1, 2.1]) * 6 / 6.3)
        assert undisturbed([5.0, 2.0, 3.0], 7.0) == pytest.approx([4.0, 1.0, 2.0])
        assert undisturbed([5.0, 1.0, 3.0], 2.0) == pytest.approx(np.array([4.1, 0.1, 2.1]) * 2 / 6.3)

    def test_nothing_ran(self) -> None:
        with pytest.raises(ValueError, match="no operator"):
            read([], 1, 1.0, 1e9, 0)


def network(folder: Path, layers: int, width: int, zeros: bool = False, converting: bool = False) -> Path:
    """A chain of float matrix products; ``converting``: each input is rounded to int8 and back."""
    rng, nodes, weights, name = np.random.default_rng(0), [], [], "x"
    weights += [numpy_helper.from_array(np.float32(0.02), "s"), numpy_helper.from_array(np.int8(0), "z")]
    for i in range(layers):
        matrix = rng.normal(0, 0.1, (width, width)).astype(np.float32)
        weights.append(numpy_helper.from_array(np.where(rng.random(matrix.shape) < 0.5, 0, matrix) if zeros else matrix,
                                               f"w{i}"))  # fmt: skip
        if converting:
            nodes.append(helper.make_node("QuantizeLinear", [name, "s", "z"], [f"q{i}"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"q{i}", "s", "z"], [f"d{i}"]))
            name = f"d{i}"
        nodes.append(helper.make_node("MatMul", [name, f"w{i}"], [f"y{i}"]))
        name = f"y{i}"
    floats = (TensorProto.FLOAT, ["n", width])
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", *floats)],
                              [helper.make_tensor_value_info(name, *floats)], weights)  # fmt: skip
    path = folder / f"{layers}-{width}-{zeros}-{converting}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The smallest student as floats, and at 8 bits as the shipped one."""
    from engine.retiming import index, load

    folder, found = tmp_path_factory.mktemp("profile"), {}
    for entry in index("fashion_mnist"):
        if entry["student"] == "plain_1k5":
            found["float" if entry["dense"] else "integers"] = folder / f"{entry['key']}.onnx"
            found["float" if entry["dense"] else "integers"].write_bytes(load(entry["key"]))
    return found


class TestRealGraphs:
    def test_kernels_conversions_and_times_of_a_student(self, students: dict[str, Path]) -> None:
        found = profiles(students, SHAPE, (1, 8))
        assert {b: set(rows) for b, rows in found.items()} == {1: set(students), 8: set(students)}
        integers, floats = found[1]["integers"], found[1]["float"]
        assert {"QLinearConv", "QuantizeLinear"} <= {n.op for n in integers.nodes}
        assert integers.evidence().floats == 0 < integers.evidence().integers
        assert floats.evidence().integers == 0 < floats.evidence().floats
        for one in (integers, floats):
            assert sum(n.milliseconds for n in one.nodes) <= one.milliseconds * 1.0001
            assert one.calls >= 5
            assert 1e8 < one.copy_rate < 1e12
            assert all(n.milliseconds >= 0 for n in one.nodes)
        assert found[8]["integers"].milliseconds > integers.milliseconds
        assert profiled_cause(EIGHT_BITS, integers.evidence(), 2.0) == "too small"

    def test_causes_of_graphs_that_are_made_for_them(self, tmp_path: Path) -> None:
        paths = {
            "conversions": network(tmp_path, 2, 64, converting=True),
            "zeros": network(tmp_path, 2, 256, zeros=True),
            "memory": network(tmp_path, 1, 3000),
        }
        shapes = {"conversions": (64,), "zeros": (256,), "memory": (3000,)}
        found = {n: profiles({n: p}, shapes[n], (1,))[1][n].evidence() for n, p in paths.items()}
        bits = Facts(False, None, 4, 100, 100)
        assert found["conversions"].conversions > 0.2
        assert profiled_cause(bits, found["conversions"], 1.15) == "conversion nodes"
        assert profiled_cause(dataclasses.replace(bits, nonzero=50), found["zeros"], 1.15) == "zeros in a dense kernel"
        assert profiled_cause(dataclasses.replace(bits, bits=4), found["zeros"], 1.15) == "no kernel"
        assert found["memory"].moved_bytes > 36_000_000
        assert found["memory"].copying > 0.05  # much more on an idle machine

    def test_only_what_is_slower_is_profiled(self, students: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        fast = dataclasses.replace(READING, ratio=0.5, ratio_low=0.4, ratio_high=0.6)
        alone = dataclasses.replace(READING, ratio=None, ratio_low=None, ratio_high=None)
        found = with_evidence({1: {"integers": READING, "float": alone}, 8: {"integers": fast, "float": alone}},
                              students, SHAPE)  # fmt: skip
        assert found[1]["integers"].evidence is not None
        assert {found[8]["integers"].evidence, found[1]["float"].evidence} == {None}
        both = with_evidence({1: {"integers": READING, "float": alone}}, students, SHAPE, "float")
        assert both[1]["integers"].evidence is not None
        assert both[1]["float"].evidence is None
        monkeypatch.setattr(profile, "profiles", lambda *_: pytest.fail("nothing is slower"))
        assert with_evidence({1: {"integers": fast}}, students, SHAPE) == {1: {"integers": fast}}

    def test_a_file_that_cannot_be_run_is_a_failed_trial(self, tmp_path: Path) -> None:
        (tmp_path / "broken.onnx").write_bytes(b"no model")
        with pytest.raises(TrialFailedError, match=r"^profile: .*broken\.onnx"):
            profiles({"x": tmp_path / "broken.onnx"}, SHAPE, (1,))

    def test_a_student_at_4_bits_runs_in_float_kernels(self, tmp_path: Path) -> None:
        model = registry.get("models", "plain_1k5").make()
        path = artifact.write(model, torch.zeros(2, *SHAPE), tmp_path / "m").onnx
        found = profiles({"m": path}, SHAPE, (1,))[1]["m"].evidence()
        assert profiled_cause(Facts(True, 4, 0, 1536, 1536), found, 1.05) == "no kernel"
