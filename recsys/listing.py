"""The listing: ranked items with their reasons, as JSON written by one compiled loop.

To make an object of each item and each reason, twenty and thirty for a user, took as long as to rank them; nearly always all
that is wanted of them are the bytes.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np

from recsys.compiled import I32, I64, U8, U64, compiled
from recsys.digits import DIGITS, Digits, in_digits
from recsys.hashing import NONE
from recsys.index import NOWHERE, Index, distinct, find, index
from recsys.ranking.features import ALIKE_TERMS, ALSO_BOUGHT_TERM, BOUGHT_AGAIN_TERM, REPEAT_TERM, TERMS, TRENDING_TERM
from recsys.ranking.rank import Ranked
from recsys.ranking.told import WHOLE, Told, told
from recsys.recommendation import RecommendedItem

LEAST_SHARE = 0.5
"""Recent items, and popularity, that add less of a score are not told one by one, or reasons would fill the message; other
terms are told from less on (`recsys.ranking.told`)."""
PLAIN = 4
"""Zeros after the point with which a score is still written without an exponent."""
NUMBERS_BYTES = 40
"""Of the numbers of an item, or of a reason, at most."""


class Texts(NamedTuple):
    """Texts (UTF-8), one after the other."""

    text: U8
    begin: I64
    """Of each, and the end of the last."""


def texts(parts: Sequence[bytes]) -> Texts:
    """These texts.

    >>> texts([b"ab", b"c"]).begin
    array([0, 2, 3])
    """
    begin = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=begin[1:])
    return Texts(np.frombuffer(b"".join((*parts, b"\n")), np.uint8), begin)


ITEM, SCORE, REASONS, ITEM_END, KIND, SHARE, SOURCE, COUNT, REASON_END = range(9)
FRAME = texts([
    b'{"item_id":', b',"score":', b',"reasons":[', b"]}", b'{"kind":', b',"share":', b',"item_id":', b',"count":', b"}",
])  # fmt: skip
"""What stands between the values."""
COMMA, POINT, MINUS, DIGIT_ZERO, EXPONENT, OPEN, CLOSE = b",.-0e[]"

_kinds = np.full(TERMS, "also_viewed", object)
_kinds[REPEAT_TERM], _kinds[TRENDING_TERM] = "repeat", "trending"
_kinds[BOUGHT_AGAIN_TERM], _kinds[ALSO_BOUGHT_TERM] = "bought_again", "also_bought"
_kinds[ALIKE_TERMS:] = "similar_content"
KINDS = texts([msgspec.json.encode(kind) for kind in _kinds.tolist()])
"""Of each term the kind of reason."""

_quoted = lru_cache(1 << 16)(msgspec.json.encode)
_items = msgspec.json.Decoder(list[RecommendedItem])


def hashes_to_name(ranked: Ranked) -> set[int]:
    """The hashes of all items that stand in these recommendations and their reasons."""
    return set(distinct(np.concatenate((ranked.item, ranked.recent, ranked.source), axis=None)).tolist()) - {NONE}


def recommended(ranked: Ranked, names: Mapping[int, str], least: float = LEAST_SHARE) -> list[list[RecommendedItem]]:
    """The items of each user, as objects; see `listed`."""
    return [_items.decode(each) for each in listed(ranked, names, least)]


def listed(ranked: Ranked, names: Mapping[int, str], least: float = LEAST_SHARE) -> list[bytes]:
    """The items of each user as a JSON array, by falling score, ties by item id, each with its reasons; see `told` for `least`.

    `names` are the ids by hash; items without one are left out.
    """
    reasons = told(ranked, least)
    where = index(np.fromiter(names, np.uint64, len(names)))
    quoted = texts([_quoted(name) for name in names.values()])
    scores = in_digits(ranked.score)
    longest = int(np.diff(quoted.begin).max(initial=0))
    largest = len(FRAME.text) + NUMBERS_BYTES + longest + int(np.diff(KINDS.begin).max())
    out = np.empty(2 * len(ranked.item) + (ranked.item.size + len(reasons.term)) * largest, np.uint8)
    ends = np.zeros(len(ranked.item) + 1, np.int64)
    begins = np.cumsum(reasons.terms).reshape(reasons.terms.shape) - reasons.terms
    order = _by_score(ranked.item, scores, names)
    _write(ranked.item, scores, order, reasons, begins, where, quoted, FRAME, KINDS, out, ends[1:])
    whole = out[: ends[-1]].tobytes()
    return [whole[begin:end] for begin, end in pairwise(ends.tolist())]


def _by_score(item: U64, scores: Digits, names: Mapping[int, str]) -> I32:
    """By user, the places of the items in the order in which they are written; the scores fall, but may be written alike."""
    order = np.tile(np.arange(item.shape[1], dtype=np.int32), (len(item), 1))
    digits, exponent = scores
    alike = (digits[:, 1:] == digits[:, :-1]) & (exponent[:, 1:] == exponent[:, :-1])
    for u in np.flatnonzero(alike.any(axis=1)).tolist():
        ids = (names.get(each, "") for each in item[u].tolist())
        places = list(zip((-exponent[u]).tolist(), (-digits[u]).tolist(), ids, strict=True))
        order[u] = sorted(range(len(places)), key=places.__getitem__)
    return order


@compiled
def _write(
    item: U64, scores: Digits, order: I32, reasons: Told, begins: I64, where: Index, names: Texts, frame: Texts, kinds: Texts,
    out: U8, ends: I64,
) -> None:  # fmt: skip
    at = 0
    for u in range(item.shape[0]):
        out[at] = OPEN
        at += 1
        begun = at
        for n in range(item.shape[1]):
            i = order[u, n]
            name = find(where, item[u, i])
            if name == NOWHERE:
                continue
            at = _put(out, _comma(out, at, begun), frame, ITEM)
            at = _put(out, at, names, name)
            at = _put(out, at, frame, SCORE)
            at = _put_score(out, at, scores.digits[u, i], scores.exponent[u, i])
            at = _put(out, at, frame, REASONS)
            at = _put_reasons(out, at, reasons, begins[u, i], begins[u, i] + reasons.terms[u, i], where, names, frame, kinds)
            at = _put(out, at, frame, ITEM_END)
        out[at] = CLOSE
        at += 1
        ends[u] = at


@compiled
def _put_reasons(
    out: U8, at: int, reasons: Told, first: int, end: int, where: Index, names: Texts, frame: Texts, kinds: Texts
) -> int:
    begun = at
    for r in range(first, end):
        at = _put(out, _comma(out, at, begun), frame, KIND)
        at = _put(out, at, kinds, reasons.term[r])
        at = _put(out, at, frame, SHARE)
        at = _put_share(out, at, reasons.part[r])
        source = find(where, reasons.source[r]) if reasons.source[r] != NONE else NOWHERE
        if source != NOWHERE:
            at = _put(out, at, frame, SOURCE)
            at = _put(out, at, names, source)
        if reasons.behind[r]:
            at = _put(out, at, frame, COUNT)
            at = _put_digits(out, at, reasons.behind[r], _length(reasons.behind[r]))
        at = _put(out, at, frame, REASON_END)
    return at


@compiled
def _put_score(out: U8, at: int, digits: int, exponent: int) -> int:
    """A number of `DIGITS` digits, of which the last zeros are not written."""
    length = DIGITS if digits else 1
    while length > 1 and digits % 10 == 0:
        digits //= 10
        length -= 1
    if digits == 0:
        exponent = 0
    if -PLAIN <= exponent < 0:
        at = _put_zeros(out, at, 1)
        out[at] = POINT
        at = _put_zeros(out, at + 1, -exponent - 1)
        return _put_digits(out, at, digits, length)
    if 0 <= exponent < DIGITS:
        if length <= exponent + 1:
            at = _put_zeros(out, _put_digits(out, at, digits, length), exponent + 1 - length)
            out[at] = POINT
            return _put_zeros(out, at + 1, 1)
        return _put_with_point(out, at, digits, length, exponent + 1)
    at = _put_with_point(out, at, digits, length, 1) if length > 1 else _put_digits(out, at, digits, length)
    out[at] = EXPONENT
    at += 1
    if exponent < 0:
        out[at] = MINUS
        at += 1
    return _put_digits(out, at, abs(exponent), _length(abs(exponent)))


@compiled
def _put_share(out: U8, at: int, part: int) -> int:
    """A part of `WHOLE`, which is a power of ten."""
    if part == WHOLE:
        return _put_score(out, at, 10 ** (DIGITS - 1), 0)
    exponent = _length(part) - _length(WHOLE)
    while _length(part) < DIGITS:
        part *= 10
    return _put_score(out, at, part, exponent)


@compiled
def _put_with_point(out: U8, at: int, digits: int, length: int, before: int) -> int:
    """Digits with a point after so many of them."""
    end = _put_digits(out, at + 1, digits, length)
    for i in range(before):
        out[at + i] = out[at + i + 1]
    out[at + before] = POINT
    return end


@compiled
def _put_digits(out: U8, at: int, number: int, length: int) -> int:
    for i in range(length - 1, -1, -1):
        out[at + i] = DIGIT_ZERO + number % 10
        number //= 10
    return at + length


@compiled
def _put_zeros(out: U8, at: int, count: int) -> int:
    for i in range(count):
        out[at + i] = DIGIT_ZERO
    return at + count


@compiled
def _length(number: int) -> int:
    """How many digits a whole number has."""
    length = 1
    while number >= 10:
        number //= 10
        length += 1
    return length


@compiled
def _comma(out: U8, at: int, begun: int) -> int:
    """A comma, but for the first."""
    if at == begun:
        return at
    out[at] = COMMA
    return at + 1


@compiled
def _put(out: U8, at: int, texts: Texts, which: int) -> int:
    begin, end = texts.begin[which], texts.begin[which + 1]
    for i in range(begin, end):
        out[at + i - begin] = texts.text[i]
    return at + end - begin  # type: ignore[no-any-return]
