"""Rebuild an ONNX model from its packed file, byte for byte. Stand-alone: needs Python, numpy and zstandard only.

    python decoder.py model.packed model.onnx

Layout (little endian): ``SHPK``, version (1 byte), SHA-256 of the ONNX file (32), its size, the raw and the stored size
of the head (4 each); the head; the streams. The head is zstd (from version 2 on begun with the words below): one line
of JSON, then every byte of the ONNX file that is not a tensor ("literal"). The JSON has ``streams``, arrays that are
stored, and ``holes``, where tensors go:

- ``["planes", itemsize, count, stored]``: the first bytes of all values, then the second ones, and so on.
- ``["bits", width, low, count, stored]``: small integers, ``width`` bits each, ``low`` added.
- ``["sparse", count, stored, values]``: one bit a value (1 = not zero), then the non-zero values, themselves a stream.
- ``["gaps", count, bytes, stored, values]``: the zeros before each non-zero value, 255 meaning 255 and no value yet.
- ``["ans", count, stored]``: small integers, as many bits each as they are rare. A byte says how many pieces follow; a
  piece is a width and a weight (two bytes): so many magnitudes, from 0 up, are equally frequent, each sign as often as
  the other. Then a range asymmetric numeral system (Duda 2014, arXiv:1311.2540): state (4 bytes), words (2 each).
- ``["take", start, count, stored, which]``: ``count`` float32 values, and a stream of small integers that says which of
  them follow each other, 0 meaning number ``start`` (version 3).
- hole ``[literal, i]``: after ``literal`` bytes of literals, stream i as it is.
- hole ``[literal, i, j]``: stream i times stream j in float32, j holding one factor for each row of i.
- hole ``[literal, i, j, k]`` (version 3): first stream k is taken from i, one number for each row or one for all.
- ``[row, group]`` at the end of such a hole (version 3): j, and k, hold one number for every ``group`` values of each
  row of ``row`` values; the last group of a row may be shorter.

``stored`` is a number of bytes; where it equals the raw size the bytes are plain, else they are one zstd frame.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

HEADER = struct.Struct("<4sB32sIII")
MAGIC, VERSION, OLDEST = b"SHPK", 3, 1
PLAIN_VERSION = 2  # written where nothing needs more
LIMIT = 2**31  # protobuf's own limit for an ONNX file
RATIO = 2**15  # zstd cannot shrink more: a block of at most 128 KiB takes at least 4 bytes
ANS_BITS, ANS_LOW = 14, 2**16  # frequencies add up to 2**14; the state is 2**16 or more
ANS_LONGEST, ANS_VALUES = 2**14, 2**20  # values a stream and a file: they are read one by one, half a second at most
# what many graphs say (3 kB of text): zstd refers to it instead of saying it again. Part of the format, never to change
WORDS = zlib.decompress(
    base64.b85decode(
        "c-oy--E!JS6h?pzUWXXe+Qqo}8O0YFjjBNcW1O2{>eeZV)5gwClX{p%T7$+yQnV6w+?!ssZ;=bXL?57U*0T!+A;csTGqTuozCC|?&bJ(WbnwtJ-h"
        "|i*tQ+#matQWO;RFXKq5X>!kUsIz`gr-eZ3R>=p==M{<t*yiu5sC=u&rRYLlw;UE_E-0SNJ3GU%UPg+tv*ZEZ31mlp`LsY}Yvhzz|=*^|3=emy%O"
        "L2iPOWI2aKBN7pfMaAsQu`N_XHCU$sen&9~?>>XL7Gpj#zE%PmQ22utTdP>TG5?<L;fWmuq94LHSdx3rP?8>48SgiBKcsDFd$F|$U_Th;5xKDm_U"
        "A6(85;HW&3Bk?<!9nN~s@g0OwW{(&RpJ<~32Ph##9>*fA1+6#VPi_I3kwvcd*x6(^lYMD7@FF%FjcRJ)gJ_^A3BcZ^t(eaFNtj&7=yV2q0C6DqvC"
        "*IQ?(o~47$|7HbEN^$qn&c5pa8zlypCKV7tt~9@92JoBP@3LCWhWi?1zO7H);Ko<fHV)j)-bQGU1-mH2WT=)`R?D!TLA1k1%E@?p;N)I|zhpqEJG"
        "J6Y=8se_G~jGJf14k{@Y%syI=xI$}Fq_}FkeQ2{vmWib7F&Pf!4YY!7Z-6&bslT4z3W9tedXWUPbpfpgtg+gYjKv%cLK99)E(-01>UOg7Rx#a<*S"
        "I63<WIRg%D*dS+Vi#Q{GF2z^9YPB7OnGCmOzzhFBGqXQqw=V4Vcw-LYZLyb8b3bE>LiJv{D`UJ1(0Qtn>8UE?VJPh&yOIFNm8cC$98ZtD$sWfaiP"
        "m^d6u|X~l0)31EdN47Jn65<3{3{j2e|9QT~ahk&Y@Y7#FPz+@3A3-dZc4;M9aJ^Wy)o)rh}B&sK^^C&?%*Qt*a0Q24VU>RcEi&L%V!j{CerkW*b#"
        "r3hYqUwdTX38aL%>c{NiXp}Z?mXxbwHpSr@E<M*@c7yBvy-pG)UQXVQZAx3gIIQV2xQ2oUM{1O;f78C!5KD;Ti3%TA3%8%-Mb{dL+mam`BtWtxfO"
        "Ek3IPahrN$p7Dk2zF-!chprCVu`09{?7^k`2^k2s~B;OiysMYLvGHm6bA5?TT?7k50i`Gt<<Cooyt)A}0F4Kdny1hi330^IS(E?B6{1ESRj6OX~f"
        "b|T`=#(!Dhpw)aPp8-<YihG-o#;2^@;Y<+o7GtKDoOO2QF>(5N!3~uYKvNzPcsN4)+azxt#<Jq#_71v(SEFzw&PzG%r$<_)Fee|6<J}dX&x?o#mT"
        "eE*kdjJDPd)qh2|ArHAKIQb8J*X1l8WDL=}|S|N__*}SN&RpTGCyKen(sJJ(Fp!Bo%1FQ0bBW`J4BTDdAKT4mTcag#Xf`+UKqR1J}n$gGYy_27Bs"
        ">hm<&q_s~k;cSG-s7(p0+VuLxB03-Yg?(1mzXriS<2{9-9Zu(OK7X%Nf^z8k6$+NLTsHD^tO{t$NQGs4p4jS{KnyzSiGb+;*t=eP{6SCjP4EDpmq"
        "BlWW=N74leYjzigKAaLv>HhI*aO^tqY2;Pmy4wA)vJoWzjr=eSL;f>shyuI(!jL|4^^+i-YP&E4Ml@jt-%AX0g{U~O;;e?{{gTnqEi"
    )
)


def decode(packed: bytes) -> bytes:
    """The ONNX file inside ``packed``; raises ValueError when it is not a packed model, truncated or altered."""
    found: bytes = _guarded(packed, _Reader.read)
    return found


def contents(packed: bytes) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """The index of ``packed`` (what is stored how, in how many bytes) and its streams; ValueError as :func:`decode`."""
    found = _guarded(packed, _Reader.parts)
    return found[0], found[2]


def _guarded(packed: bytes, read: Any) -> Any:
    try:
        return read(_Reader(packed))
    except ValueError:
        raise
    except (zstandard.ZstdError, struct.error, LookupError, TypeError, OverflowError, RecursionError, MemoryError) as e:
        raise ValueError(f"the packed model is truncated or altered ({type(e).__name__})") from None


class _Reader:
    """Walks through one packed file. Every size is checked before anything of that size is allocated."""

    def __init__(self, packed: bytes) -> None:
        if len(packed) < HEADER.size or packed[:4] != MAGIC:
            raise ValueError("this is not a packed model")
        _, version, self.digest, self.size, self.head_raw, self.head_stored = HEADER.unpack_from(packed)
        if not OLDEST <= version <= VERSION:
            raise ValueError(f"the packed model has version {version}, this decoder reads {OLDEST} to {VERSION}")
        self.packed, self.at, self.left = packed, HEADER.size, ANS_VALUES
        self.words = zstandard.ZstdCompressionDict(WORDS, zstandard.DICT_TYPE_RAWCONTENT) if version > 1 else None
        self.size = _whole(self.size, min(LIMIT, RATIO * len(packed)))

    def parts(self) -> tuple[dict[str, Any], bytes, list[NDArray[Any]]]:
        """The index, the literals and the streams."""
        head = self.blob(_whole(self.head_raw, 3 * self.size + 1024), self.head_stored, self.words)
        line, _, literals = head.partition(b"\n")
        index = _json(line)
        streams = [self.stream(row) for row in _rows(index["streams"])]
        if self.at != len(self.packed):
            raise ValueError("the packed model is longer than it should be")
        return index, literals, streams

    def read(self) -> bytes:
        index, literals, streams = self.parts()
        onnx = self.join(literals, _rows(index["holes"]), streams)
        if len(onnx) != self.size or hashlib.sha256(onnx).digest() != self.digest:
            raise ValueError("the packed model is altered: its checksum differs")
        return onnx

    def join(self, literals: bytes, holes: list[list[Any]], streams: list[NDArray[Any]]) -> bytes:
        parts, at, left = [], 0, self.size
        for literal, *which in holes:
            end = at + _whole(literal, len(literals) - at)
            sizes = [_whole(n - 1, self.size) + 1 for n in which.pop()] if isinstance(which[-1], list) else None
            values = [streams[_whole(i, len(streams) - 1)] for i in which]
            tensor = (values[0] if len(values) == 1 else _product(values, sizes)).tobytes()
            left = _whole(left - len(tensor), self.size)  # many holes may name one stream
            parts += [literals[at:end], tensor]
            at = end
        return b"".join([*parts, literals[at:]])

    def stream(self, row: list[Any], nested: bool = False) -> NDArray[Any]:
        kind = row[0]
        if kind == "planes":
            itemsize, count = _whole(row[1], 8), _whole(row[2], self.size)
            planes = self.array(_whole(itemsize * count, self.size), row[3])
            values = np.ascontiguousarray(planes.reshape(itemsize, count).T)
            return values.view({1: "i1", 2: "<i2", 4: "<f4", 8: "<f8"}[itemsize]).ravel()
        if kind == "bits":
            return self.bits(_whole(row[1], 8), row[2], _whole(row[3], self.size), row[4])
        if kind == "ans":
            return self.ans(_whole(row[1], ANS_LONGEST), row[2])
        if kind == "sparse" and not nested:
            return self.sparse(_whole(row[1], self.size), row[2], row[3])
        if kind == "gaps" and not nested:
            return self.gaps(_whole(row[1], self.size), _whole(row[2], self.size), row[3], row[4])
        if kind == "take" and not nested:
            return self.take(_whole(row[1], 128), _whole(row[2], 256), row[3], row[4])
        raise ValueError(f"the packed model names an unknown coding {str(kind)[:20]!r}")

    def bits(self, width: int, low: Any, count: int, stored: Any) -> NDArray[Any]:
        raw = self.array((width * count + 7) // 8, stored)
        flat = np.unpackbits(raw, count=width * count, bitorder="little").reshape(count, width)
        unsigned = np.zeros(count, np.int16)
        for bit in range(width):  # adding plane by plane keeps the memory at three bytes a value
            unsigned += flat[:, bit].astype(np.int16) << bit
        return (unsigned - _whole(-low, 128)).astype(np.int8)

    def sparse(self, count: int, stored: Any, values: list[Any]) -> NDArray[Any]:
        mask = np.unpackbits(self.array((count + 7) // 8, stored), count=count, bitorder="little").astype(bool)
        return self.spread(np.flatnonzero(mask), count, values)

    def gaps(self, count: int, raw: int, stored: Any, values: list[Any]) -> NDArray[Any]:
        steps = self.array(raw, stored)
        places = (np.cumsum(steps, dtype=np.int64) + np.cumsum(steps < 255))[steps < 255] - 1
        _whole(int(places.max(initial=0)), max(0, count - 1))
        return self.spread(places, count, values)

    def take(self, start: int, count: int, stored: Any, which: list[Any]) -> NDArray[Any]:
        table = self.array(_whole(4 * count, self.size), stored).view("<f4")
        places = self.stream(which).astype(np.int16) + start
        _whole(-int(places.min(initial=0)), 0)  # a negative place would count from the end
        _whole(4 * len(places), self.size)
        return table[places]

    def spread(self, places: NDArray[Any], count: int, values: list[Any]) -> NDArray[Any]:
        """Zeros but for the values of a stream at ``places``."""
        inner = self.stream(values, nested=True)
        if len(places) != len(inner) or _whole(count, self.size) * inner.itemsize > self.size:
            raise ValueError("the packed model is altered: zeros and values do not fit")
        full = np.zeros(count, inner.dtype)
        full[places] = inner
        return full

    def ans(self, count: int, stored: Any) -> NDArray[Any]:
        data = self.blob(_whole(stored, self.size), stored)
        self.left = _whole(self.left - count, ANS_VALUES)
        pieces = 1 + 2 * data[0]
        if len(data) < pieces + 4 or len(data) % 2 == 0:
            raise ValueError("the packed model is altered: a stream has another length")
        values, starts = ans_table(data[1:pieces])
        state = struct.unpack_from("<I", data, pieces)[0]
        words = iter(np.frombuffer(data[pieces + 4 :], "<u2").tolist())
        which = np.repeat(np.arange(len(values)), np.diff(starts)).tolist()
        base, often, found = starts.tolist(), np.diff(starts).tolist(), []
        for _ in range(count):
            slot = state & (2**ANS_BITS - 1)
            value = which[slot]
            found.append(value)
            state = often[value] * (state >> ANS_BITS) + slot - base[value]
            if state < ANS_LOW:
                state = state << 16 | next(words, 0)
        return values[found].astype(np.int8)

    def array(self, raw: int, stored: Any) -> NDArray[Any]:
        return np.frombuffer(self.blob(raw, stored), np.uint8)

    def blob(self, raw: int, stored: Any, words: Any = None) -> bytes:
        data = self.packed[self.at : self.at + _whole(stored, len(self.packed) - self.at)]
        self.at += len(data)
        if len(data) == raw:
            return data
        _whole(raw, RATIO * len(data))
        if zstandard.get_frame_parameters(data).content_size != zstandard.CONTENTSIZE_UNKNOWN:
            raise ValueError("the packed model is altered: a frame announces its size")  # it would be allocated
        found = zstandard.ZstdDecompressor(dict_data=words).decompress(data, max_output_size=raw)
        if len(found) != raw:
            raise ValueError("the packed model is altered: a stream has another length")
        return found


def ans_table(pieces: bytes) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values that occur, ascending, and where the share of each of the 2**14 slots starts (one more, the end)."""
    widths, codes = np.frombuffer(pieces, np.uint8).reshape(-1, 2).T.astype(np.int64)
    half = np.repeat(np.where(codes > 0, 16 + (codes & 15) << (codes >> 4), 0), widths)
    if not 0 < len(half) <= 128 or not half.any():
        raise ValueError("the packed model is altered: a table of frequencies is none")
    weights = np.concatenate([half[:0:-1], half])
    values = np.flatnonzero(weights)
    ends = np.cumsum(weights[values]) * (2**ANS_BITS - len(values)) // weights.sum() + np.arange(1, len(values) + 1)
    return values - (len(half) - 1), np.concatenate([[0], ends])


def scaled(
    values: NDArray[Any], factors: NDArray[Any], zeros: NDArray[Any] | None = None, sizes: list[int] | None = None
) -> NDArray[Any]:
    """``values`` less ``zeros``, times ``factors``: a float32 subtraction and a multiplication each, flat.

    ``factors`` and ``zeros`` hold one number for each row; with ``sizes`` (row, group) one for each group of each row.
    """
    row, group = sizes or [max(1, len(values) // max(1, len(factors)))] * 2
    rows: NDArray[Any] = values.astype(np.float32, copy=False).reshape(-1, row)
    with np.errstate(all="ignore"):  # an altered file may hold anything; the checksum decides
        rows = rows if zeros is None else rows - _column(zeros, len(rows), row, group)
        rows = rows * _column(factors, len(rows), row, group)
    return rows.ravel()


def _product(streams: list[NDArray[Any]], sizes: list[int] | None) -> NDArray[Any]:
    values, factors, *zeros = streams
    return scaled(values, factors, zeros[0] if zeros else None, sizes)


def _column(numbers: NDArray[Any], rows: int, row: int, group: int) -> NDArray[Any]:
    """Numbers of groups, of rows or one for all, so that they broadcast over [rows, row]."""
    floats, groups = numbers.astype(np.float32, copy=False), -(-row // group)
    if len(floats) not in (1, rows * groups):
        raise ValueError("the packed model is altered: values, factors and zeros do not fit")
    if groups == 1 or len(floats) == 1:
        return floats[:, None]
    return floats.reshape(rows, groups)[:, np.arange(row) // group]


def _whole(value: Any, high: int) -> int:
    if type(value) is not int or not 0 <= value <= high:
        raise ValueError(f"the packed model is truncated or altered: {str(value)[:20]} is no size from 0 to {high}")
    return value


def _json(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        raise ValueError("the packed model is altered: its index cannot be read") from None


def _rows(value: Any) -> list[list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, list) and row for row in value):
        raise ValueError("the packed model is altered: its index has another form")
    return value


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    if len(arguments) != 2:
        print("usage: python decoder.py model.packed model.onnx", file=sys.stderr)
        return 2
    try:
        Path(arguments[1]).write_bytes(decode(Path(arguments[0]).read_bytes()))
    except (OSError, ValueError) as problem:
        print(f"{arguments[0]}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
