"""Files that are whole or absent: written beside their place, flushed to the disk, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.errors import FileError, StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REMEDIES = {
    **dict.fromkeys(
        _FULL, "the disk is full; free some space and start the same trial again, nothing finished is lost"
    ),
    errno.EROFS: "the disk is read-only; choose another home with --home or STILLHOUSE_HOME",
    errno.EACCES: "writing is not permitted; choose another home with --home or STILLHOUSE_HOME",
    errno.EPERM: "writing is not permitted; choose another home with --home or STILLHOUSE_HOME",
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the disk's own errors (full, read-only, not permitted) into a :class:`StoreError` with the remedy."""
    try:
        yield
    except OSError as problem:
        remedy = _REMEDIES.get(problem.errno or 0)
        if remedy is None:
            raise
        raise StoreError(f"{path}: {remedy}") from None


def check_artifact(onnx: Path, packed: Path) -> None:
    """Raise :class:`FileError` unless ``onnx`` is, byte for byte, the model that ``packed`` was made of.

    A packed file holds its ONNX file's SHA-256 from byte 5 on (see engine/artifact/decoder.py).
    """
    try:
        with packed.open("rb") as file:
            head = file.read(37)
        same = hashlib.sha256(onnx.read_bytes()).digest() == head[5:]
    except OSError as problem:
        raise FileError(f"{problem.filename}: it cannot be read ({problem.strerror}); run the trial again") from None
    if not same or head[:4] != b"SHPK":
        raise FileError(f"{onnx}: it is not the model of {packed.name}: one of them is damaged; run the trial again")


def packed_digest(packed: Path) -> str:
    """The SHA-256 of the ONNX file that a packed file holds, as it says itself. Raises OSError."""
    with packed.open("rb") as file:
        return file.read(5 + hashlib.sha256().digest_size)[5:].hex()


def atomic_write(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old content or the new, never a part.

    Text is written as UTF-8. Raises :class:`StoreError` when the disk is full; nothing is left behind then.
    """
    data = content.encode() if isinstance(content, str) else content
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes ``path`` when the block ends well and disappears when it does not.

    A folder that already stands at ``path`` is replaced. Raises :class:`StoreError` when the disk is full.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield draft
            for file in draft.rglob("*"):
                _flush(file)
            _put(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def sweep(folder: Path, older_than: float) -> int:
    """Remove drafts that a killed process left in ``folder`` before ``older_than`` (seconds since 1970); how many."""
    drafts = [d for d in folder.glob(".*.*") if d.lstat().st_mtime < older_than] if folder.is_dir() else []
    for draft in drafts:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    return len(drafts)


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _put(draft: Path, path: Path) -> None:
    # a folder cannot be renamed over one that holds files, so the old one steps aside first
    aside = draft.with_name(draft.name + ".old")
    if path.exists():
        os.replace(path, aside)
    os.replace(draft, path)
    shutil.rmtree(aside, ignore_errors=True)
