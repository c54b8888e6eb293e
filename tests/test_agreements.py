"""Our code against others': the list that docs/evidence/agreements.md is written from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import ROOT

from benchmarks import evidence_agreements as evidence
from benchmarks.agreements.values import LIMIT, Agreement, apart

LISTED = [(group, one) for group, found in evidence.GROUPS.items() for one in found]


@pytest.mark.parametrize(("group", "one"), LISTED, ids=[f"{g}-{a.what}-{a.needs}" for g, a in LISTED])
def test_it_agrees(group: str, one: Agreement) -> None:
    pytest.importorskip(one.needs)
    assert one.largest() <= LIMIT, group


def test_a_difference_is_found() -> None:
    assert apart(torch.tensor([1.0, 2.0]), np.array([1.0, 2.5])) == pytest.approx(0.2)
    assert apart(0.0, 1e-4) > LIMIT
    with pytest.raises(ValueError, match="shapes"):
        apart([1.0], [1.0, 2.0])
    line, passed = evidence.row(Agreement("x", "y", "torch", "z", lambda: 1e-4))
    assert not passed
    assert "**differs**" in line


def test_the_page_tells_of_every_comparison() -> None:
    text = (ROOT / "docs" / "evidence" / "agreements.md").read_text(encoding="utf-8")
    assert all(f"| {one.what} | {one.other}" in text for _, one in LISTED)
    assert "differs**" not in text
