"""What the live figures say, against closed forms, brute force and the engine's own code."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from engine import live
from engine.live import amdahl, divergence, few_labels, orders, pareto
from engine.live.data import TEACHER, answers, image, layer, shipped
from engine.search.pareto import dominates


def info(name: str, **values: Any) -> Any:
    figure = live.find(name)
    return figure.info(figure.check(values))


def fact(name: str, what: str, **values: Any) -> float:
    figure = live.find(name)
    return next(f.value for f in figure.facts(info(name, **values)) if f.name == what)


class TestTargets:
    def test_the_ends_of_the_weight_are_the_label_and_the_teacher(self) -> None:
        label = info("targets", weight=0.0, image=7)
        assert label.target == tuple(np.eye(10)[answers().labels[7]])
        assert label.bits == 0
        alone = info("targets", weight=1.0, image=7, temperature=5.0)
        assert alone.target == pytest.approx(info("softmax", image=7, temperature=5.0).shares)
        assert alone.bits == pytest.approx(stats.entropy(alone.target, base=2))

    def test_the_mean_of_two_teachers_lies_between_them(self) -> None:
        first, second, both = (info("targets", weight=1.0, image=2, teacher=w) for w in ("teacher", "student", "both"))
        assert both.target == pytest.approx(np.mean([first.target, second.target], axis=0))
        assert both.bits >= (first.bits + second.bits) / 2  # entropy is concave

    def test_a_hardened_answer_drops_all_shares(self) -> None:
        assert info("targets", weight=1.0, hard=True, temperature=20.0).bits == 0
        wrong = next(i for i in range(40) if info("targets", image=i).likely != info("targets", image=i).label)
        assert info("targets", image=wrong, hard=True, weight=1.0).target[info("targets", image=wrong).label] == 0

    def test_images_are_real(self) -> None:
        assert len({image(i) for i in range(40)}) == 40


class TestDivergence:
    def test_values_are_those_of_an_independent_integral(self) -> None:
        found = info("divergence", mean=1.2, width=1.4, gap=4.0)

        def teacher(x: float) -> float:
            return 0.4 * stats.norm.pdf(x, -2, 0.8) + 0.6 * stats.norm.pdf(x, 2, 0.8)

        def student(x: float) -> float:
            return stats.norm.pdf(x, 1.2, 1.4)

        forward = integrate.quad(lambda x: teacher(x) * math.log(teacher(x) / student(x)), -9.9, 9.9)[0]
        reverse = integrate.quad(lambda x: student(x) * math.log(student(x) / teacher(x)), -9.9, 9.9)[0]
        square = integrate.quad(lambda x: (student(x) - teacher(x)) ** 2, -9.9, 9.9)[0]
        assert found.values["forward"] == pytest.approx(forward, rel=1e-4)
        assert found.values["reverse"] == pytest.approx(reverse, rel=1e-4)
        assert found.values["mse"] == pytest.approx(square, rel=1e-4)
        cross = integrate.quad(lambda x: -teacher(x) * math.log(student(x)), -9.9, 9.9)[0]
        assert fact("divergence", "ce", mean=1.2, width=1.4, gap=4.0) == pytest.approx(cross, rel=1e-4)
        assert 0 < found.values["jsd"] < math.log(2)

    def test_normals_have_their_closed_form(self) -> None:
        first, second = divergence.normal(0.5, 1.2), divergence.normal(-0.3, 0.9)
        known = math.log(0.9 / 1.2) + (1.2**2 + 0.8**2) / (2 * 0.9**2) - 0.5
        assert float(divergence.distance("forward", first, second)) == pytest.approx(known, rel=1e-5)

    @pytest.mark.parametrize("measure", divergence.MEASURES)
    def test_no_student_is_better_than_the_best_one(self, measure: str) -> None:
        teacher, at = divergence.teacher_of(5.0), divergence.best(measure, 5.0)
        reached = float(divergence.distance(measure, teacher, divergence.normal(*at)))

        def loss(place: Any) -> float:
            return float(divergence.distance(measure, teacher, divergence.normal(place[0], abs(place[1]) + 0.05)))

        found = min(optimize.minimize(loss, start, method="Nelder-Mead").fun for start in ((2.4, 0.7), (0.5, 2.5)))
        assert reached == pytest.approx(found, rel=2e-3, abs=1e-4)

    def test_forward_covers_both_peaks_and_reverse_chooses_one(self) -> None:
        forward, reverse = divergence.best("forward", 6.0), divergence.best("reverse", 6.0)
        assert forward[0] == pytest.approx(0.6 * 3 - 0.4 * 3)
        assert forward[1] == pytest.approx(math.sqrt(0.8**2 + 0.24 * 36), rel=1e-4)  # moments of the mixture
        assert reverse[0] == pytest.approx(3, abs=0.1)
        assert reverse[1] == pytest.approx(0.8, abs=0.1)
        assert divergence.best("forward", 0.0) == pytest.approx((0.0, 0.8), abs=1e-3)


class TestWeights:
    def test_more_bits_less_error_and_least_squares_is_never_worse(self) -> None:
        for granularity in ("tensor", "channel"):
            curves = info("rounding", granularity=granularity).curves
            assert all(b > a for a, b in itertools.pairwise(curves["least_squares"]))
            for reach in ("maximum", "percentile"):
                assert np.all(np.array(curves["least_squares"]) >= np.array(curves[reach]) - 1e-6)

    def test_a_step_a_channel_is_never_worse(self) -> None:
        one, many = (info("rounding", granularity=g, bits=4, range="least_squares").mse for g in ("tensor", "channel"))
        assert many <= one

    def test_four_bits_are_more_than_an_eighth_and_the_file_says_so(self) -> None:
        found = info("rounding", bits=4, granularity="channel")
        assert found.nominal_bytes == layer("student").size // 2 + 4 * 24
        assert found.packed_bytes <= found.nominal_bytes
        assert len(found.levels) <= found.possible

    def test_a_table_beats_even_steps_from_two_bits_on(self) -> None:
        for name in ("student", "teacher_head", "teacher_first"):
            found = info("codebook", layer=name)
            assert all(t > e for t, e in list(zip(found.table_curve, found.even_curve, strict=True))[1:])
            assert all(b > a for a, b in itertools.pairwise(found.table_curve))
        assert len(info("codebook", bits=5).table) == 32

    def test_weights_are_the_shipped_ones(self) -> None:
        from safetensors.torch import load_file

        assert np.array_equal(layer("teacher_head"), load_file(TEACHER)["10.weight"].numpy())
        with pytest.raises(ValueError, match="read-only"):
            layer("student")[0] = 0


class TestMasks:
    def test_zeros_are_exact_and_a_dense_kernel_does_all_the_work(self) -> None:
        found = info("masks", sparsity=0.75)
        assert found.zeros == pytest.approx(0.75)
        assert found.work == 1
        assert info("masks", pattern="two_of_four", sparsity=0.9).zeros == 0.5
        assert info("masks", pattern="channels", sparsity=0.5).work == 0.5

    def test_single_weights_keep_more_of_the_power_than_patterns(self) -> None:
        kept = [info("masks", pattern=p, sparsity=0.5).energy for p in ("weights", "two_of_four", "channels")]
        assert kept == sorted(kept, reverse=True)

    def test_more_zeros_fewer_bytes_and_the_same_time(self) -> None:
        sizes = [info("masks", sparsity=s).size for s in (0.0, 0.3, 0.6, 0.9)]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == 1
        assert fact("masks", "time", sparsity=0.9) == pytest.approx(1.0, abs=0.02)
        assert fact("masks", "time", pattern="channels", sparsity=0.5) < 0.6
        assert info("masks", pattern="two_of_four").measured is None

    def test_measured_bars_are_shipped_results(self) -> None:
        rows = {(r.sparsity, r.pruning): r for r in shipped() if r.student == "plain_150k" and r.bits == 8}
        both = rows[0.3, "channels"], rows[0.0, "none"]
        found = info("masks", pattern="channels", sparsity=0.32)
        assert found.measured_at == 0.3
        assert found.measured == (both[0].packed_bytes / both[1].packed_bytes, both[0].latency_ms / both[1].latency_ms)


class TestOrders:
    def test_pruning_first_is_never_worse(self) -> None:
        for levels, bits in itertools.product(orders.LEVELS, (2, 3, 4)):
            found = info("orders", levels=levels, bits=bits, sparsity=0.6)
            assert found.errors[0] <= found.errors[1]
            assert found.zeros[0] >= 0.6 - 1e-3
            assert found.zeros[1] >= 0.6 - 1e-3

    def test_without_zeros_the_order_does_not_matter(self) -> None:
        for levels in orders.LEVELS:
            found = info("orders", levels=levels, sparsity=0.0, bits=4)
            assert found.errors[0] == pytest.approx(found.errors[1], rel=1e-6)
            assert found.lost == 0

    def test_a_table_without_a_place_for_zero_loses_zeros(self) -> None:
        assert info("orders", sparsity=0.3, bits=1).lost == 1


class TestMeasured:
    def test_amdahl_at_its_limits(self) -> None:
        assert amdahl.speed_up(0.0, 50) == 1
        assert amdahl.speed_up(1.0, 50) == pytest.approx(50)
        assert amdahl.speed_up(0.5, 1e12) == pytest.approx(2)
        assert info("amdahl", share=0.9).limit == pytest.approx(10)
        assert len(live.find("amdahl").facts(info("amdahl", share=1.0))) == 2  # no limit

    def test_profiles_add_up(self) -> None:
        for student in amdahl.students():
            assert 0.3 < student.share < 1
            assert student.total == pytest.approx(amdahl.speed_up(student.share, student.factor), rel=0.4)
        found = {s.name: s for s in amdahl.students()}
        assert found["plain_1k5"].total < 1 < found["plain_150k"].total

    def test_all_files_shrink_and_small_networks_get_slower(self) -> None:
        found = info("latency")
        assert all(p.size < 0.5 for p in found.pairs)
        assert all(p.low <= p.time <= p.high for p in found.pairs)
        assert found.pairs[0].low > 1
        assert found.pairs[-1].high < 1
        one = next(r for r in shipped() if r.student == "resnet18" and r.bits == 8)
        assert fact("latency", "time", student="resnet18") == one.ratio[0]
        assert fact("latency", "time", student="resnet18", batch="many") == one.ratio32[0]

    def test_dominance_by_brute_force(self) -> None:
        for size, quality in ((2e3, 0.85), (2e4, 0.91), (1e6, 0.8)):
            found = info("pareto", size=size, quality=quality)
            assert found.worse == {i for i, p in enumerate(found.points) if dominates(size, quality, *p)}
            assert not found.worse & found.better
            assert (found.gain > 0) == (not found.better and (size, quality) not in found.points)

    def test_the_area_is_that_of_thin_strips(self) -> None:
        found = info("pareto", size=5e3, quality=0.93)
        costs = np.array([found.moved[0], *(p[0] for p in found.points)])
        good = np.array([found.moved[1], *(p[1] for p in found.points)])
        strips = np.linspace(np.log10(costs.min()), 8, 20_001)
        heights = [good[np.log10(costs) <= s].max() - pareto.QUALITIES[0] for s in strips[1:] - 1e-9]
        assert found.volume == pytest.approx(100 * float(np.mean(heights)) * (8 - strips[0]), rel=1e-3)


class TestFewLabels:
    def test_who_is_surer_is_more_often_right(self) -> None:
        right = [fact("few_labels", "right", confidence=c, labels=10) for c in (0.5, 0.9, 0.99)]
        taken = [fact("few_labels", "taken", confidence=c, labels=10) for c in (0.5, 0.9, 0.99)]
        assert right == sorted(right)
        assert taken == sorted(taken, reverse=True)
        assert taken[0] == 1
        assert right[0] == fact("few_labels", "right_all", labels=10)

    def test_every_mail_is_counted_once(self) -> None:
        for labels in (10, 500, 1000):
            found = info("few_labels", labels=labels)
            assert found.counts.sum() == found.unlabelled
            assert found.labelled + found.unlabelled == len(few_labels.answered()[1])
