"""The committed sample: sizes, balance, disjoint splits, refusal of damaged files, the same bytes built twice."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from engine.errors import FileError
from engine.tasks import _fashion_mnist_files as files

PACKAGE = (files.DEBIAN / "train-images-idx3-ubyte.gz").exists()
needs_package = pytest.mark.skipif(not PACKAGE, reason="the Debian package dataset-fashion-mnist is not installed")


@pytest.fixture(scope="module")
def sample() -> dict[str, files.Images]:
    return {name: files.read_sample(name) for name in files.SAMPLE}


@pytest.fixture(scope="module")
def build() -> ModuleType:
    path = files.FOLDER / "build.py"
    spec = importlib.util.spec_from_file_location("sample_data_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sizes_and_balance(sample: dict[str, files.Images]) -> None:
    for name, per_class in (("train", 2_000), ("validation", 500), ("test", 1_000)):
        images = sample[name]
        assert images.pixels.shape == (10 * per_class, 28, 28)
        assert images.pixels.dtype == np.uint8
        assert np.bincount(images.labels, minlength=10).tolist() == [per_class] * 10


def test_validation_and_training_share_no_image(sample: dict[str, files.Images]) -> None:
    train, validation = sample["train"], sample["validation"]
    assert len(np.unique(np.concatenate([train.rows, validation.rows]))) == 25_000
    assert not {image.tobytes() for image in train.pixels} & {image.tobytes() for image in validation.pixels}


def test_images_are_photographs_of_what_the_label_says(sample: dict[str, files.Images]) -> None:
    # class means are far apart and each test image is usually nearest to its own: pixels and labels belong together
    means = np.stack([sample["train"].pixels[sample["train"].labels == c].mean(0).ravel() for c in range(10)])
    test = sample["test"]
    distance = ((test.pixels.reshape(-1, 1, 784)[:2000] - means) ** 2).sum(2)
    assert (distance.argmin(1) == test.labels[:2000]).mean() > 0.6


def test_the_sample_is_small() -> None:
    assert sum(files.sample_path(name).stat().st_size for name in files.SAMPLE) < 15_000_000


def _flip_a_label(arrays: dict[str, np.ndarray]) -> None:
    arrays["labels"][7] = (arrays["labels"][7] + 1) % 10


def _flip_a_pixel(arrays: dict[str, np.ndarray]) -> None:
    images = files.read_sample("validation")
    images.pixels[3, 14, 14] ^= 1
    packed = files.zstandard.ZstdCompressor().compress(np.diff(images.pixels, axis=1, prepend=np.uint8(0)).tobytes())
    arrays["pixels"] = np.frombuffer(packed, np.uint8)


def _cut_the_stream(arrays: dict[str, np.ndarray]) -> None:
    arrays["pixels"] = arrays["pixels"][:-1000]


def _drop_the_labels(arrays: dict[str, np.ndarray]) -> None:
    del arrays["labels"]


@pytest.mark.parametrize("damage", [_flip_a_label, _flip_a_pixel, _cut_the_stream, _drop_the_labels])
def test_an_altered_file_is_refused(tmp_path: Path, damage: Callable[[dict[str, np.ndarray]], None]) -> None:
    with np.load(files.sample_path("validation"), allow_pickle=False) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    damage(arrays)
    path = tmp_path / "fashion_mnist_validation.npz"
    np.savez(path, **arrays)
    with pytest.raises(FileError, match=r"altered.*sample_data\.build") as caught:
        files.read_sample("validation", path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 100, 1_000_000])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "fashion_mnist_validation.npz"
    path.write_bytes(files.sample_path("validation").read_bytes()[:keep])
    with pytest.raises(FileError, match="truncated"):
        files.read_sample("validation", path)


def test_a_missing_or_pickled_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing"):
        files.read_sample("test", tmp_path / "nothing.npz")
    np.savez(tmp_path / "objects.npz", labels=np.array([{}], object), allow_pickle=True)
    with pytest.raises(FileError, match="altered"):
        files.read_sample("test", tmp_path / "objects.npz")


def test_a_huge_stream_is_not_unpacked(tmp_path: Path) -> None:
    bomb = files.zstandard.ZstdCompressor().compress(bytes(50_000_000))
    path = tmp_path / "fashion_mnist_validation.npz"
    np.savez(path, labels=np.zeros(1, np.uint8), rows=np.zeros(1, np.uint16), pixels=np.frombuffer(bomb, np.uint8))
    with pytest.raises(FileError, match="altered"):
        files.read_sample("validation", path)


def test_written_images_are_read_back_and_bytes_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = files.read_sample("validation")
    images = files.Images(images.pixels[:1000], images.labels[:1000], images.rows[:1000])
    monkeypatch.setitem(files.DIGESTS, "validation", files.digest(images.pixels, images.labels))
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path in paths:
        files.write_sample(path, images)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    again = files.read_sample("validation", paths[0])
    np.testing.assert_array_equal(again.pixels, images.pixels)
    np.testing.assert_array_equal(again.rows, images.rows)


@needs_package
def test_building_again_gives_the_committed_files(
    tmp_path: Path, build: ModuleType, sample: dict[str, files.Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build.splits()
    for name in files.SAMPLE:
        np.testing.assert_array_equal(made[name].pixels, sample[name].pixels)
        np.testing.assert_array_equal(made[name].labels, sample[name].labels)
        np.testing.assert_array_equal(made[name].rows, sample[name].rows)
    # packing all three takes half a minute; one shows it
    monkeypatch.setattr(build, "splits", lambda source: {"validation": made["validation"], "full": made["full"]})
    (path,) = build.build(tmp_path)
    np.testing.assert_array_equal(files.read_sample("validation", path).pixels, sample["validation"].pixels)
    # another release of zstandard may pack differently
    if files.zstandard.__version__.startswith("0.25."):
        assert path.read_bytes() == files.sample_path("validation").read_bytes()


@needs_package
def test_the_full_set_is_all_but_validation(sample: dict[str, files.Images]) -> None:
    full = files.read_full()
    assert len(full.labels) == 55_000
    assert not set(full.rows.tolist()) & set(sample["validation"].rows.tolist())
    assert set(sample["train"].rows.tolist()) <= set(full.rows.tolist())


def _idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def _write_official(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(_idx(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(_idx(labels))


def test_other_files_in_the_official_place_are_refused(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(10), 3_000)
    _write_official(tmp_path, np.zeros((30_000, 28, 28)), labels)
    with pytest.raises(FileError, match="not the official ones"):
        files.read_full(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_idx(np.zeros((30_000, 28, 28)))[:1000])
    with pytest.raises(FileError, match="not a whole IDX file"):
        files.read_full(tmp_path)
    _write_official(tmp_path, np.zeros((10, 28, 28)), labels)
    with pytest.raises(FileError, match="10 images"):
        files.read_full(tmp_path)


def test_without_the_full_set_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DEBIAN", tmp_path)
    monkeypatch.setattr(files, "TORCHVISION", (tmp_path / "raw",))
    with pytest.raises(FileError, match=r"apt install dataset-fashion-mnist.*data=sample"):
        files.read_full()


def test_torchvisions_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    _write_official(raw, np.arange(20 * 784).reshape(20, 28, 28) % 251, np.arange(20) % 10)
    monkeypatch.setattr(files, "DEBIAN", tmp_path / "nothing")
    monkeypatch.setattr(files, "TORCHVISION", (raw,))
    assert files.installed() == raw
    images, labels = files.official("train", raw)
    assert images[1, 0, 0] == 784 % 251
    assert labels[13] == 3
