"""Images: those of a task's validation split, and a picture of one's own made into one like them. No torch."""

from __future__ import annotations

import functools
import importlib
import io
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from engine import catalogue
from engine.errors import InputError, NotFoundError

Bytes = npt.NDArray[np.uint8]
MOST_BYTES, MOST_PIXELS, FEWEST_SIDE = 5_000_000, 20_000_000, 8
FORMATS = ("PNG", "JPEG")
SIDE = 28
GROUND_SHARE = 0.12  # of the full range: what differs less from the ground belongs to it
MOST_SIDE = 1024
LEAST_RANGE = 24  # of 255: a picture with less contrast than this shows nothing


_one_by_one = threading.Lock()  # a picture takes up to 100 MB for a moment; forty people must not need 4 GB


@dataclass(frozen=True)
class Prepared:
    """``pixels`` [28, 28] uint8, light on a dark ground. ``done`` says what was done, in the order in which it was.

    rotated (as the camera noted), flattened (transparent parts became the ground), greyed (colours became grey),
    inverted (it was dark on a light ground), trimmed (to what is not ground), stretched (to full contrast), resized (to
    28 pixels, kept in proportion, centred).
    """

    pixels: Bytes
    done: tuple[str, ...]


def read_image(data: bytes) -> Bytes:
    """The pixels of :func:`prepare_image`."""
    return prepare_image(data).pixels


def prepare_image(data: bytes) -> Prepared:
    """A PNG or JPEG file made into an image as Fashion-MNIST has them (Xiao et al. 2017, arXiv:1708.07747, table 1).

    One of 28 x 28 pixels is only turned light on dark. At most 5 MB and 20 megapixels. Raises :class:`InputError` for
    anything else, also for a picture of one colour.
    """
    with _one_by_one:
        return _prepared(_opened(data))


def _prepared(picture: Image.Image) -> Prepared:
    done = []
    turned = ImageOps.exif_transpose(picture)
    if turned.size != picture.size or picture.getexif().get(0x0112, 1) != 1:
        done.append("rotated")
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        turned = _flattened(turned)
        done.append("flattened")
    if turned.mode != "L":
        done.append("greyed")
    grey = np.asarray(turned.convert("L"), np.float32)
    if _ground(grey) > 127.5:
        grey = 255 - grey
        done.append("inverted")
    if grey.shape == (SIDE, SIDE):  # already as the data set's images are
        return Prepared(grey.astype(np.uint8), tuple(done))
    return _fitted(np.clip(grey - _ground(grey), 0, 255), done)


def images(task: str, indexes: Sequence[int]) -> Bytes:
    """Validation images [n, h, w] of a task; raises :class:`InputError` for an index that there is not."""
    pixels = validation(task).pixels
    for index in indexes:
        if isinstance(index, bool) or not 0 <= index < len(pixels):
            raise InputError("image", index, f"a whole number from 0 to {len(pixels) - 1}")
    chosen: Bytes = pixels[np.asarray(indexes, np.int64)]
    return chosen


@functools.lru_cache(maxsize=2)
def validation(task: str) -> Any:
    """``pixels`` [N, h, w] and ``labels`` [N] of a task's validation split; read once, shared."""
    return files_of(task).read_sample("validation")


def files_of(task: str) -> ModuleType:
    """A task keeps what needs no torch in a module of its own, ``engine/tasks/_<task>_files.py``."""
    catalogue.current().row("tasks", task, "task")
    try:
        return importlib.import_module(f"engine.tasks._{task}_files")
    except ModuleNotFoundError:
        raise NotFoundError(f"the task {task} has no engine/tasks/_{task}_files.py, which holds its images") from None


def _opened(data: bytes) -> Image.Image:
    """The picture, its size checked before any of it is decoded."""
    if len(data) > MOST_BYTES:
        raise InputError("image", f"{len(data):,} bytes", f"at most {MOST_BYTES:,} bytes")
    allowed = f"a whole PNG or JPEG file of at most {MOST_PIXELS // 1_000_000} megapixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes; they are refused below
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            wide, high = picture.size
            if wide * high > MOST_PIXELS or min(wide, high) < FEWEST_SIDE:
                raise InputError("image", f"{wide} x {high} pixels", f"{FEWEST_SIDE} pixels a side to "
                                 f"{MOST_PIXELS // 1_000_000} megapixels")  # fmt: skip
            picture.thumbnail((MOST_SIDE, MOST_SIDE))  # a large JPEG is decoded at a fraction of its size
            picture.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        raise InputError("image", "this file", allowed) from None
    return picture


def _flattened(picture: Image.Image) -> Image.Image:
    """On black or white, whichever the visible parts stand out from."""
    clear = picture.convert("RGBA")
    alpha = np.asarray(clear.getchannel("A"), np.float32) / 255
    grey = np.asarray(clear.convert("L"), np.float32)
    weight = float(alpha.sum())
    light = weight > 0 and float((grey * alpha).sum()) / weight > 127.5
    ground = Image.new("RGBA", clear.size, (0, 0, 0, 255) if light else (255, 255, 255, 255))
    return Image.alpha_composite(ground, clear).convert("RGB")


def _ground(grey: npt.NDArray[np.float32]) -> float:
    """The median of the border."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return float(np.median(border))


def _fitted(grey: npt.NDArray[np.float32], done: list[str]) -> Prepared:
    """Trimmed, stretched and resized as the data set was."""
    high = float(grey.max())
    if high < LEAST_RANGE:
        raise InputError("image", "one colour", "a picture of one thing that stands out from a plain ground")
    inside = grey > GROUND_SHARE * high
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    part = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if part.shape != grey.shape:
        done.append("trimmed")
    if high < 250:
        part = part * (255 / high)
        done.append("stretched")
    small = Image.fromarray(part.astype(np.uint8))
    scale = SIDE / max(small.size)
    size = tuple(max(1, round(side * scale)) for side in small.size)
    if size != small.size or small.size != (SIDE, SIDE):
        small = small.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        done.append("resized")
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[top : top + size[1], left : left + size[0]] = np.asarray(small)
    return Prepared(pixels, tuple(done))
