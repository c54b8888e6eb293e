"""Claims about methods: what each verdict means, that both sides are treated alike, and one small claim measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from benchmarks import evidence_methods
from benchmarks.claims import shapes
from benchmarks.claims.journal import Journal, Run
from benchmarks.claims.report import interval
from benchmarks.claims.running import compare, complete, findings
from benchmarks.claims.values import NOT_SHOWN, OPPOSITE, SHOWN, Claim, verdict
from engine.errors import InputError
from engine.home import Home
from engine.statistics import Difference

CLAIMS = [claim for claims in evidence_methods.GROUPS.values() for claim in claims]


def difference(value: float, low: float, high: float) -> Difference:
    return Difference(value, low, high, examples=5000, seeds=3)


def run_of(right: np.ndarray, size: int = 100) -> Run:
    return Run(right, size, 10 * size, size, 1.0)


class TestVerdict:
    @pytest.mark.parametrize(
        ("found", "least", "expected"),
        [
            (difference(0.02, 0.01, 0.03), 0.01, SHOWN),
            (difference(0.02, -0.001, 0.041), 0.01, NOT_SHOWN),  # large enough, but not sure
            (difference(0.005, 0.004, 0.006), 0.01, NOT_SHOWN),  # sure, but smaller than named beforehand
            (difference(-0.02, -0.03, -0.01), 0.01, OPPOSITE),
            (difference(-0.02, -0.05, 0.01), 0.01, NOT_SHOWN),
            (difference(-0.004, -0.008, 0.0), -0.01, SHOWN),  # a loss, surely smaller than the one allowed
            (difference(-0.004, -0.012, 0.004), -0.01, NOT_SHOWN),
            (difference(-0.03, -0.04, -0.02), -0.01, OPPOSITE),
            (difference(0.0, 0.0, 0.0), 0.0, NOT_SHOWN),
        ],
    )
    def test_by_least_effect_and_interval(self, found: Difference, least: float, expected: str) -> None:
        assert verdict(found, least) == expected

    def test_difference_is_method_minus_control_on_the_same_images(self) -> None:
        control = np.random.default_rng(0).random((3, 1000)) < 0.8
        method = control | (np.arange(1000) < 100)
        both = compare([run_of(row, 50) for row in method], [run_of(row, 200) for row in control])
        gained = (method.mean(1) - control.mean(1)).mean()
        assert both.found.difference == pytest.approx(gained)
        assert both.found.low < gained < both.found.high
        assert (both.bytes, both.macs, both.ahead) == (0.25, 0.25, 3)
        assert verdict(both.found, 0.01) == SHOWN
        assert interval(both.found).startswith(f"+{100 * gained:.2f} (+")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.name)
class TestClaims:
    def test_both_sides_differ_but_train_equally_long(self, claim: Claim) -> None:
        assert 1 <= len(claim.settings) <= 3
        assert len(claim.seeds) >= 3
        assert len(set(claim.seeds)) == len(claim.seeds)
        for setting in claim.settings:
            method, control = setting.pair(claim.seeds[0])
            assert method.key != control.key
            assert {method.seed, control.seed} == {claim.seeds[0]}
            assert (method.task, method.labels) == (control.task, control.labels)
            assert method.student == control.student or claim in shapes.CLAIMS  # there multiply-adds are about equal
            assert sum(p.epochs for p in method.phases) == sum(p.epochs for p in control.phases)

    def test_says_what_it_asks_and_where_that_stands(self, claim: Claim) -> None:
        assert claim.question.endswith("?")
        assert "arXiv:" in claim.source
        assert -0.1 <= claim.least <= 0.5


def test_names_are_unique_and_checked() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    with pytest.raises(InputError, match="--only"):
        evidence_methods.chosen(["graduall"])


class TestJournal:
    def test_keeps_what_is_measured_bit_for_bit(self, home: Home) -> None:
        recipe, other = CLAIMS[0].settings[0].pair(0)
        right = np.random.default_rng(1).random(4999) < 0.5
        Journal(home)._add(recipe, "accuracy", run_of(right))
        with (home.root / "claims.jsonl").open("a") as file:
            file.write('{"recipe": {"task"')  # a line that was cut short
        again = Journal(home)
        found = again.find(recipe, "accuracy")
        assert found is not None
        assert np.array_equal(found.right, right)
        assert again.find(other, "accuracy") is None
        assert again.find(recipe, "another") is None

    def test_forgets_runs_of_other_versions(self, home: Home) -> None:
        recipe, _ = CLAIMS[0].settings[0].pair(0)
        Journal(home)._add(recipe, "accuracy", run_of(np.ones(8, bool)))
        place = home.root / "claims.jsonl"
        place.write_text(place.read_text().replace('"versions": {', '"versions": {"other": {}, '))
        assert Journal(home).find(recipe, "accuracy") is None


def test_a_claim_is_measured_and_resumed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence_methods.main(["--quick", "--home", str(home.root)]) == 0
    first = capsys.readouterr()
    assert first.err.count(" s\n") == 4  # two seeds, two sides
    assert "| **shown** |" in first.out
    assert evidence_methods.main(["--quick", "--home", str(home.root)]) == 0
    second = capsys.readouterr()
    assert " s\n" not in second.err
    assert second.out == first.out
    claim, journal = evidence_methods.quick(), Journal(home)
    assert complete(claim, journal)
    (found,) = findings(claim, journal)
    assert found.compared.bytes > 1.5
    assert found.compared.macs == 1


def test_the_shipped_page_is_of_these_claims() -> None:
    text = Path(ROOT / "docs" / "evidence" / "methods.md").read_text(encoding="utf-8")
    assert [claim.name for claim in CLAIMS if f"### {claim.name}\n" not in text] == []
