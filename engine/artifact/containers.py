"""The containers of a packed file's arrays: each is made in several and the smallest is kept.

What zstd makes of bytes is 1 to 3 % above their entropy from some ten thousand values on, and far above for the few
hundred of a small layer, where its table costs more than it saves. There the asymmetric numeral system of the
decoder is used: its table is a histogram of as few pieces as pay for themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from engine.artifact import decoder

Entry = tuple[list[Any], list[Any]]  # the row in the index, and the bytes (or an Ans that will make them)
SMALL = 16  # values; fewer are never stored without their zeros
LEVEL, LARGE, FAST = 19, 2**18, 1  # from LARGE bytes on level 19 takes minutes and saves 1 to 3 %
PIECE_BITS = 16  # of a piece in the table
ESCAPE = 255


class Containers:
    """Makes the entries of one packed file; counts the values that its decoder will read one by one."""

    def __init__(self) -> None:
        self.small, self.large = _compressor(LEVEL), _compressor(FAST)
        self.left = decoder.ANS_VALUES

    def integers(self, values: NDArray[np.int8]) -> Entry:
        """Small integers: all of them or the non-zero ones, a byte each, fewer bits, or as many as they are rare."""
        best = self.dense(values)
        if len(values) > SMALL and 4 * np.count_nonzero(values) < 3 * len(values):
            best = _smallest([best, *self.without_zeros(values != 0, self.dense(values[values != 0]))])
        return self.coded(best)

    def floats(self, raw: bytes, itemsize: int) -> Entry:
        """Byte planes, of all values or of those whose bits are not all zero."""
        entries = [self.planes(raw, itemsize)]
        words = np.frombuffer(raw, f"<u{itemsize}")
        mask = words != 0
        if len(words) > SMALL and not mask.all():
            inner = self.planes(words[mask].tobytes(), itemsize)
            entries += self.without_zeros(mask, inner)
        return _smallest(entries)

    def head(self, raw: bytes) -> bytes:
        """The index and the graph, which zstd reads with the decoder's words before them."""
        words = zstandard.ZstdCompressionDict(decoder.WORDS, zstandard.DICT_TYPE_RAWCONTENT)
        frame = _compressor(LEVEL, words).compress(raw)
        return frame if len(frame) < len(raw) else raw

    def dense(self, values: NDArray[np.int8]) -> Entry:
        best = _smallest([self.planes(values.tobytes(), 1), self.bits(values)])
        if not 0 < len(values) <= min(decoder.ANS_LONGEST, self.left) or values.min() == -128:
            return best
        planned = Ans(values)
        return (["ans", len(values), planned.size], [planned]) if planned.size < size_of(best) else best

    def coded(self, entry: Entry) -> Entry:
        """The entry with its planned parts coded, which is the slow part and done for the smallest only."""
        row, blobs = entry
        *outer, last = blobs
        if not isinstance(last, Ans):
            return entry
        code = last.code()
        inner = ["ans", len(last.shares), len(code)]
        self.left -= len(last.shares)
        return [*row[:-1], inner] if outer else inner, [*outer, code]

    def planes(self, raw: bytes, itemsize: int) -> Entry:
        shuffled = np.frombuffer(raw, np.uint8).reshape(-1, itemsize).T.tobytes()
        blob = self.shrink(shuffled)
        return ["planes", itemsize, len(raw) // itemsize, len(blob)], [blob]

    def bits(self, values: NDArray[np.int8]) -> Entry:
        low = min(0, int(values.min(initial=0)))
        width = (int(values.max(initial=0)) - low).bit_length()
        unsigned = (values.astype(np.int16) - low).astype(np.uint8)
        flat = np.unpackbits(unsigned[:, None], axis=1, bitorder="little")[:, :width]
        blob = self.shrink(np.packbits(flat.ravel(), bitorder="little").tobytes())
        return ["bits", width, low, len(values), len(blob)], [blob]

    def without_zeros(self, mask: NDArray[Any], inner: Entry) -> list[Entry]:
        """A bitmap; where four of five are zeros also the gaps, of which one byte then holds many."""
        few = 5 * int(mask.sum()) < len(mask)
        return [self.sparse(mask, inner), self.gaps(mask, inner)] if few else [self.sparse(mask, inner)]

    def sparse(self, mask: NDArray[Any], inner: Entry) -> Entry:
        blob = self.shrink(np.packbits(mask, bitorder="little").tobytes())
        return ["sparse", len(mask), len(blob), inner[0]], [blob, *inner[1]]

    def gaps(self, mask: NDArray[Any], inner: Entry) -> Entry:
        steps = np.diff(np.flatnonzero(mask), prepend=-1) - 1
        ends = np.cumsum(steps // ESCAPE + 1) - 1
        raw = np.full(len(steps) and ends[-1] + 1, ESCAPE, np.uint8)
        raw[ends] = steps % ESCAPE
        blob = self.shrink(raw.tobytes())
        return ["gaps", len(mask), len(raw), len(blob), inner[0]], [blob, *inner[1]]

    def take(self, table: NDArray[np.float32], start: int, inner: Entry) -> Entry:
        """The values of a table; ``inner`` says which, ``start`` where in the table its zero is."""
        blob = self.shrink(table.tobytes())
        return ["take", start, len(table), len(blob), inner[0]], [blob, *inner[1]]

    def shrink(self, raw: bytes) -> bytes:
        """zstd where it helps. A frame as long as its content would read as plain bytes, so that is stored plain."""
        frame = (self.small if len(raw) < LARGE else self.large).compress(raw)
        return frame if len(frame) < len(raw) else raw


class Ans:
    """``values`` in the decoder's asymmetric numeral system: first its table and its size, the code when it is wanted.

    ``size``: bytes, right but for two. At least one value, none of them -128, which has no counterpart.
    """

    def __init__(self, values: NDArray[np.int8]) -> None:
        pieces = _pieces(np.bincount(np.abs(values.astype(np.int16))))
        found, starts = decoder.ans_table(pieces)
        where = np.searchsorted(found, values)
        self.head = bytes([len(pieces) // 2]) + pieces
        self.shares, self.starts = np.diff(starts)[where], starts[where]
        bits = len(values) * decoder.ANS_BITS - float(np.log2(np.diff(starts))[where].sum())
        self.size = len(self.head) + 4 + 2 * int(bits // 16)

    def code(self) -> bytes:
        """Values are pushed last first, so that they come out in order."""
        state, words = decoder.ANS_LOW, []
        for often, base in zip(self.shares[::-1].tolist(), self.starts[::-1].tolist(), strict=True):
            if state >= often << 32 - decoder.ANS_BITS:
                words.append(state & 0xFFFF)
                state >>= 16
            state = (state // often << decoder.ANS_BITS) + state % often + base
        return self.head + state.to_bytes(4, "little") + np.array(words[::-1], "<u2").tobytes()


def _pieces(counts: NDArray[Any]) -> bytes:
    """A histogram of magnitudes in the pieces that take the fewest bits, theirs and the values': (width, weight) each.

    The best division of a sequence, by dynamic programming over where its last piece starts.
    """
    size = len(counts)
    below = np.concatenate([[0.0], np.cumsum(counts)])
    numbers = np.maximum(0.0, 2.0 * np.arange(size + 1) - 1)  # how many have a magnitude below this: -1, 0, 1 below 2
    inside = np.maximum(below[None, :] - below[:, None], 1e-9)  # [start][end]
    width = np.maximum(numbers[None, :] - numbers[:, None], 1.0)
    cost = PIECE_BITS - inside * np.log2(inside / (width * below[-1]))
    best, last = np.zeros(size + 1), [0] * (size + 1)
    for end in range(1, size + 1):
        found = best[:end] + cost[:end, end]
        last[end] = int(found.argmin())
        best[end] = found[last[end]]
    cuts = [size]
    while cuts[-1]:
        cuts.append(last[cuts[-1]])
    cuts.reverse()
    density = np.diff(below[cuts]) / np.diff(numbers[cuts])
    return np.stack([np.diff(cuts), _weights(density)], 1).astype(np.uint8).tobytes()


def _weights(density: NDArray[Any]) -> NDArray[Any]:
    """The decoder's code of each weight: 0 for none, else (16 + its lower half) shifted by its upper half."""
    wanted = np.where(density > 0, np.maximum(17, np.rint(density / density.max() * (31 << 15))), 0)
    shift = np.floor(np.log2(np.maximum(wanted, 16) / 16)).astype(np.int64)
    lower = np.rint(wanted / 2.0**shift).astype(np.int64) - 16
    shift, lower = np.where(lower > 15, shift + 1, shift), np.where(lower > 15, 0, lower)
    return np.where(wanted > 0, np.minimum(255, (shift << 4) + lower), 0)


def _compressor(level: int, words: Any = None) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, dict_data=words, write_content_size=False, write_checksum=False)


def size_of(entry: Entry) -> int:
    """Bytes of an entry's blobs."""
    return sum(blob.size if isinstance(blob, Ans) else len(blob) for blob in entry[1])


def _smallest(entries: list[Entry]) -> Entry:
    return min(entries, key=size_of)
