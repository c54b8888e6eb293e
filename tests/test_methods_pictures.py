"""The pictures of the page Methods: all of them are there, and they are what the methods' own code gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine import api_methods, registry
from engine.errors import FileError
from engine.home import Home
from engine.losses.kd import softened_kl
from engine.tasks import _fashion_mnist_files as files
from sample_data import pictures, pictures_losses, pictures_stages, pictures_text
from sample_data.pictures_student import LAYER, shipped_student

CHEAP = ("prune_channels", "prune_magnitude", "prune_n_m", "prune_random", "quantize_linear")
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def kept() -> tuple[dict[str, Any], dict[str, Any]]:
    return pictures.read()


def test_every_method_has_one_of_its_present_version(kept: Any) -> None:
    index, _ = kept
    for kind, name in pictures.wanted():
        assert name in index[kind], f"{kind} {name} has no picture: run make pictures"
        assert index[kind][name]["version"] == registry.get(kind, name).version, f"{name}: run make pictures"
    expected = {k: {name for kind, name in pictures.wanted() if kind == k} for k in pictures.KINDS}
    assert {k: set(index[k]) for k in pictures.KINDS} == expected
    assert pictures.PATH.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("name", CHEAP)
def test_a_stage_s_picture_is_what_its_code_gives(kept: Any, name: str, tmp_path: Path) -> None:
    index, arrays = kept
    facts, found = pictures_stages.picture(name, Home.locate(tmp_path))
    assert facts["counts"] == index["stages"][name]["counts"]
    assert {k: facts[k] for k in ("shape", "kept", "row_levels", "parameters")} == {
        k: index["stages"][name][k] for k in ("shape", "kept", "row_levels", "parameters")
    }
    np.testing.assert_allclose(found["after"], arrays[f"stages/{name}/after"], atol=1e-3)


@pytest.mark.parametrize("name", ["cross_entropy", "kd", "logit_mse"])
def test_a_loss_s_picture_is_what_its_code_gives(kept: Any, name: str) -> None:
    index, arrays = kept
    facts, found = pictures_losses.picture(name)
    assert facts["settings"] == index["losses"][name]["settings"]
    np.testing.assert_allclose(facts["values"], index["losses"][name]["values"], rtol=1e-3)
    np.testing.assert_allclose(found["push"], arrays[f"losses/{name}/push"], rtol=2e-2, atol=2e-3)


def test_kd_pushes_as_its_formula_says(kept: Any) -> None:
    index, arrays = kept
    student, teacher = torch.from_numpy(arrays["student"]).requires_grad_(), torch.from_numpy(arrays["teacher"])
    labels = torch.tensor(index["labels"])
    loss = 0.1 * F.cross_entropy(student, labels) + 0.9 * softened_kl(student, teacher, 4.0)
    loss.backward()
    assert index["losses"]["kd"]["values"][0] == pytest.approx(float(loss.detach()), rel=1e-3)
    assert student.grad is not None
    np.testing.assert_allclose(-10 * student.grad, arrays["losses/kd/push"][0], rtol=2e-2, atol=2e-3)
    labels_only = arrays["losses/kd/push"][1 + len(index["losses"]["kd"]["settings"]["temperature"])]
    np.testing.assert_allclose(labels_only, arrays["losses/cross_entropy/push"][0], atol=2e-3)  # weight 0


def test_what_a_loss_has_taught_all_images_adds_up_to_nothing_where_it_looks_at_probabilities(kept: Any) -> None:
    _, arrays = kept
    for name in ("cross_entropy", "kd", "reverse_kl", "jsd"):
        assert np.abs(arrays[f"losses/{name}/push"].astype(float).sum(-1)).max() < 0.02, name


def test_methods_for_texts_are_shown_on_a_language_model(kept: Any) -> None:
    index, arrays = kept
    shown = {name: index["stages"][name] for name in registry.registered("stages") if pictures_text.suits(name)}
    assert {"prune_heads", "group_key_values", "drop_layers", "tie_embeddings"} <= set(shown)
    for name, facts in shown.items():
        assert (facts["student"], "refused" in facts) == (pictures_text.STUDENT, False), name
    heads, rows = shown["prune_heads"], arrays["stages/prune_heads/before"]
    assert [heads["was"], heads["shape"]] == [[64, 64], [32, 64]]
    inside = [(i, row) for i, row in enumerate(heads["kept"][0]) if row < len(rows)]  # as far as both are kept
    assert all(np.array_equal(arrays["stages/prune_heads/after"][i], rows[row]) for i, row in inside)
    assert len({row // 16 for row in heads["kept"][0]}) == 2, "two heads of 16 rows each"
    mean = arrays["stages/group_key_values/before"].astype(float)
    assert shown["group_key_values"]["shape"] == [16, 64]
    assert np.abs(arrays["stages/group_key_values/after"]).mean() < np.abs(mean).mean()
    before, after = shown["drop_layers"]["parameters"]
    assert before - after == 12 * 64**2 + 13 * 64, "a block of GPT-2's shape"
    assert not shown["drop_layers"]["changed"]
    before, after = shown["tie_embeddings"]["parameters"]
    assert before - after == 512 * 64


def test_the_student_is_the_shipped_one() -> None:
    model = shipped_student()
    labels = files.read_sample("validation").labels[:1000]
    inputs = registry.get("tasks", "fashion_mnist").split("sample", "validation").inputs[:1000]
    with torch.no_grad():
        right = float((model(inputs).argmax(1).numpy() == labels).mean())
    assert right == pytest.approx(0.89, abs=0.02)
    norm = model.get_submodule(LAYER.removesuffix("conv") + "norm")
    assert float(norm.running_var.std()) > 0.01, "its statistics are measured, not neutral"


def test_the_product_of_layers_is_read_off_their_answers() -> None:
    model = shipped_student()
    whole = pictures_stages.kernel(model).clone()
    conv = model.get_submodule(LAYER)
    narrow, wide = torch.nn.Conv2d(12, 24, 3, padding=1, bias=False), torch.nn.Conv2d(24, 24, 1)
    with torch.no_grad():
        narrow.weight.copy_(conv.weight)
        wide.weight.copy_(torch.eye(24)[:, :, None, None] * 2)
    model.get_submodule("blocks.1").conv = torch.nn.Sequential(narrow, wide)  # type: ignore[assignment]
    torch.testing.assert_close(pictures_stages.kernel(model), 2 * whole)
    assert [p["shape"] for p in pictures_stages._parts(model)] == [[24, 12, 3, 3], [24, 24, 1, 1]]


def test_the_pages_read_what_the_script_wrote(kept: Any) -> None:
    index, arrays = kept
    found = api_methods.pictures()
    assert dict(found.index) == index
    assert set(found.arrays) == set(arrays)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pictures.npz"
    path.write_bytes(content)
    with pytest.raises(FileError, match="make pictures"):
        api_methods.pictures(path)
    with pytest.raises(FileError, match="make pictures"):
        api_methods.pictures(tmp_path / "missing.npz")
