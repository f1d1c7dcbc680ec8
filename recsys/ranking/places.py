"""Places: how many of a list are kept for items that are well known, where descriptions lead to others.

Of a list of k places q = ⌊0.4 · k⌋ are kept for items that were met five times at least. With s_q the score of the q-th best of
these (of the last, where they are fewer) and b that of the (k − q + 1)-th best of all others, those of the others to which
descriptions lead, which are not of this session and whose score is b or below, are worth s_q / b of what they were, so that
they come after the q. Where these come first anyway nothing changes, and nothing does without a catalogue.

A floor for one group in the best k: Celis, Straszak, Vishnoi, 2018, "Ranking with fairness constraints".
"""

from recsys.compiled import F64, compiled
from recsys.ranking.candidates import Desk

KEPT = 0.4
"""The part of a list; why, `docs/decisions/0020-descriptions-are-candidates-and-features.md`."""
FEW = 5.0
"""Decayed interactions from which on an item is well known."""


@compiled
def keep_places(desk: Desk, score: F64, n: int, places: int) -> None:
    """Lowers the `score` of those of the first `n` candidates that would take what is kept of so many places."""
    kept, known, led = int(KEPT * places), 0, 0
    for c in range(n):
        known += _is_known(desk, c)
        led += _is_led_to(desk, c)
    if led == 0 or kept == 0 or known == 0 or n - known <= places - kept:
        return
    last = _nth_best(desk, score, n, True, min(kept, known))
    bar = _nth_best(desk, score, n, False, places - kept + 1)
    if not last < bar:
        return
    # A little less, lest a tie or rounding leave it before that one.
    factor = (1.0 - 1e-9) * last / bar
    for c in range(n):
        if score[c] <= bar and _is_led_to(desk, c):
            score[c] *= factor


@compiled
def _is_known(desk: Desk, c: int) -> bool:
    return desk.evidence.met[desk.entry[c]] >= FEW  # type: ignore[no-any-return]


@compiled
def _is_led_to(desk: Desk, c: int) -> bool:
    e, at = desk.evidence, desk.entry[c]
    return e.alike[at] > 0.0 and e.times[at] == 0 and e.met[at] < FEW  # type: ignore[no-any-return]


@compiled
def _nth_best(desk: Desk, score: F64, n: int, known: bool, nth: int) -> float:
    """The `nth` highest score of those that are well known, or of the others, of which there are as many."""
    best, found = desk.linear, 0
    for c in range(n):
        if _is_known(desk, c) != known or (found == nth and score[c] <= best[nth - 1]):
            continue
        i = found if found < nth else nth - 1
        while i > 0 and best[i - 1] < score[c]:
            best[i] = best[i - 1]
            i -= 1
        best[i] = score[c]
        found = min(found + 1, nth)
    return best[nth - 1]  # type: ignore[no-any-return]
