"""The explanation: why an item is, or is not, recommended to a user; in numbers, and in a sentence for a shopper."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct

from recsys.catalogue.shelf import EMPTY, Hidden, Shelf
from recsys.compiled import U64
from recsys.hashing import hash_item
from recsys.listing import recommended
from recsys.ranker import Overview
from recsys.ranking.rank import Ranked
from recsys.recommendation import Reason, Recommendation, RecommendedItem, Strategy
from recsys.rules import Hideable
from recsys.words import often, people, visits

Outcome = Literal["recommended", "left_out", "below", "no_candidate", "described"]
CLAUSES = 2
"""Reasons that the sentence gives."""
LEFT_OUT: dict[Hideable, str] = {
    "current": "it is what you are at right now",
    "once": "you bought it, and people hardly ever buy it again",
    "purchased": "you bought it",
    "seen": "you came to it already",
}
"""What takes an item out; the first that holds is said."""
HIDDEN: dict[Hidden, str] = {"deleted": "the shop has it no more", "unavailable": "it cannot be had now"}


class BoughtOnce(Struct, frozen=True):
    """How often an item is bought again, see `recsys.returning.once`."""

    baskets: float
    """Baskets with the item, decayed."""
    first: float
    """Of these, the baskets of users who did not hold it."""
    again: float
    """The share of its purchases that are by users who held it: ρ_c."""
    limit: float
    """Below it the item is bought once."""


class Met(Struct, frozen=True):
    """A recent item of the user's, and how often the user met it: in the newest session, and in the whole history."""

    item_id: str
    session: int
    history: int


class Published(Struct, frozen=True):
    """What the published message says of the item; without a place, it is not in it."""

    generated_at: str
    place: int | None
    score: float | None
    reasons: list[Reason] = []
    """As they were told there; those of the kind `similar_content` only a worker finds, who holds the catalogue."""

    @property
    def is_by_description(self) -> bool:
        return any(reason.kind == "similar_content" for reason in self.reasons)


class Explanation(Struct, kw_only=True):
    """Why an item is or is not recommended: what `freshet explain --json` prints, all fields of it."""

    user_id: str
    item_id: str
    outcome: Outcome
    """`recommended`; `left_out` by a rule, or because it is hidden; `below` those that are recommended; `no_candidate`: nothing
    that is stored speaks for it; `described`: nor does here, but the published message has it for its description."""
    sentence: str
    strategy: Strategy
    shown: int
    """How many items are recommended."""
    rank: int | None
    """The item's place among all, before anything is left out; the best has 1."""
    place: int | None
    """Its place without what is left out; it is recommended if this is at most `shown`."""
    score: float | None
    last_score: float | None
    """Of the last item that is recommended."""
    reasons: list[Reason]
    """All terms of the score; in a recommendation small ones are told with the largest."""
    left_out: list[Hideable]
    """The rules (`FRESHET_HIDE`) that take it out."""
    bought_once: BoughtOnce | None
    """Where `once` is one of them."""
    interactions: int
    """With the item, of all users."""
    recent: list[Met]
    """The user's items that speak for others, the newest first."""
    published: Published | None
    hidden: Hidden | None = None
    """What the catalogue says that takes it out."""
    described: bool = False
    """Whether the catalogue has it; what its description adds to its score is not in these numbers."""
    learned: Mapping[str, float] = {}
    """Of a score that is learned: what each kind of feature adds to its logarithm, beside an item that nothing speaks for; what
    is below 0 speaks against it. The largest first, either way. The reasons are what of it speaks for the item."""

    @property
    def is_as_published(self) -> bool:
        """Whether the published message has the item where it is ranked now, or like now not at all."""
        place = self.place if self.outcome == "recommended" else None
        return self.published is not None and self.published.place == place


class Seen(NamedTuple):
    """What an item and a user are explained from."""

    overview: Overview
    """Of this user alone."""
    names: Mapping[int, str]
    """Of all items in it, by hash."""
    interactions: int
    """With the item, of all users."""
    recent: list[Met]
    """The user's newest items."""
    bought_once: BoughtOnce | None
    """Where the user has bought."""
    published: Recommendation | None
    shelf: Shelf = EMPTY
    """Of the item and all that are ranked."""
    added: Mapping[str, float] = MappingProxyType({})
    """What the learner made of the item, see `recsys.ranking.features.added`."""


def explained(user: str, item: str, seen: Seen, top_n: int) -> Explanation:
    """Why `item` is recommended to `user`, or why not."""
    overview, published = seen.overview, seen.published
    everything = in_order(overview.everything, seen.names)
    gone = [hash_item(hidden) for hidden in seen.shelf.hidden]
    there = without(overview.allowed, np.array(gone, np.uint64))
    shown = in_order(part_of(there, slice(top_n)), seen.names)
    allowed = [*shown, *in_order(part_of(there, slice(top_n, None)), seen.names)]
    rank, place = place_of(item, everything), place_of(item, allowed)
    found = allowed[place - 1] if place else everything[rank - 1] if rank else None
    left_out = [rule for rule in LEFT_OUT if rule in overview.left_out and hash_item(item) in overview.left_out[rule][0]]
    if place:
        outcome: Outcome = "recommended" if place <= len(shown) else "below"
    else:
        outcome = "left_out" if (rank and left_out) or item in seen.shelf.hidden else "no_candidate"
    told = as_published(item, published) if published else None
    if outcome == "no_candidate" and told and told.is_by_description:
        outcome = "described"
    explanation = Explanation(
        user_id=user,
        item_id=item,
        outcome=outcome,
        sentence="",
        strategy="personal" if overview.allowed.personal[0] else "cold_start",
        shown=len(shown),
        rank=rank,
        place=place,
        score=found.score if found else None,
        last_score=shown[-1].score if shown else None,
        reasons=found.reasons if found else [],
        left_out=left_out,
        bought_once=seen.bought_once if "once" in left_out else None,
        interactions=seen.interactions,
        recent=seen.recent,
        published=told,
        hidden=seen.shelf.hidden.get(item),
        described=item in seen.shelf.described,
        learned=dict(seen.added),
    )
    explanation.sentence = sentence(explanation)
    return explanation


def as_published(item: str, message: Recommendation) -> Published:
    place = place_of(item, message.items)
    if place is None:
        return Published(message.generated_at, None, None)
    found = message.items[place - 1]
    return Published(message.generated_at, place, found.score, found.reasons)


def in_order(ranked: Ranked, names: Mapping[int, str]) -> list[RecommendedItem]:
    """The items of the one user, as they are published, but with all terms."""
    return recommended(ranked, names, least=0.0)[0]


def part_of(ranked: Ranked, part: slice) -> Ranked:
    """The items in these places."""
    cut = {name: getattr(ranked, name)[:, part] for name in ("item", "score", "terms", "source", "counts")}
    return ranked._replace(**cut)


def without(ranked: Ranked, gone: U64) -> Ranked:
    """The items of the one user that are not among `gone` (hashes)."""
    kept = np.flatnonzero(~np.isin(ranked.item[0], gone))
    cut = {name: getattr(ranked, name)[:, kept] for name in ("item", "score", "terms", "source", "counts")}
    return ranked._replace(**cut)


def place_of(item: str, items: Sequence[RecommendedItem]) -> int | None:
    """Where an item stands, the first place being 1."""
    return next((place for place, found in enumerate(items, 1) if found.item_id == item), None)


def sentence(e: Explanation) -> str:
    """The explanation for a shopper.

    >>> reason = Reason("also_viewed", 1.0, "i3", 37)
    >>> e = Explanation(user_id="u", item_id="i9", outcome="recommended", sentence="", strategy="personal", shown=20, rank=3,
    ...     place=2, score=0.3, last_score=0.1, reasons=[reason], left_out=[], bought_once=None, interactions=90,
    ...     recent=[Met("i3", 2, 2)], published=None)
    >>> sentence(e)
    'Recommended in place 2 of 20: 37 visits had both this and i3, which you came to twice in this visit.'
    """
    if e.outcome == "described" and e.published:
        because = "; ".join(list(clauses(e.published.reasons, e.recent))[:CLAUSES])
        return f"Published in place {e.published.place}: {because}. That descriptions are alike only workers know."
    if e.hidden and not e.reasons:
        return f"Not recommended: {HIDDEN[e.hidden]}."
    if e.outcome == "no_candidate":
        if not e.interactions:
            return "Not recommended: nobody came to it yet, and its description is not in what was published for you."
        earlier = any(met.item_id == e.item_id for met in e.recent)
        known = "you came to it in an earlier visit, but " if earlier else ""
        return f"Not recommended: {known}nothing you came to lately leads to it, and it is not among what is popular now."
    because = "; ".join([*list(clauses(e.reasons, e.recent))[:CLAUSES], *as_learned(e)])
    if e.outcome == "recommended":
        return f"Recommended in place {e.place} of {e.shown}: {because}."
    if e.outcome == "below":
        return f"Not recommended: only the first {e.shown} are shown, and it is in place {e.place}. For it speaks: {because}."
    why = HIDDEN[e.hidden] if e.hidden else LEFT_OUT[e.left_out[0]]
    return f"Not recommended: {why}. Else it would be in place {e.rank}: {because}."


def as_learned(e: Explanation) -> list[str]:
    """Where popularity is all that the reasons name, what of it the learner goes by."""
    most = [name for name, part in e.learned.items() if part > 0.0][:CLAUSES]
    if not most or {reason.kind for reason in e.reasons} != {"trending"}:
        return []
    return [f"that counts here is learned from what people turned to, above all {' and '.join(most)}"]


def clauses(reasons: Sequence[Reason], recent: Sequence[Met]) -> Iterator[str]:
    """Reasons in words; `recent` are the user's items."""
    for reason in reasons:
        count, times = reason.count, often(reason.count)
        if reason.kind == "repeat":
            yield f"you came to it {times} in this visit" if count else "you came to it before"
        elif reason.kind == "bought_again":
            yield f"you bought it {times}" if count else "you bought it before"
        elif reason.kind == "trending":
            yield f"it is popular: people came to it {times}" if count else "it is popular"
        elif reason.kind == "also_bought":
            source = f"{reason.item_id}, which you bought" if reason.item_id else "what you bought"
            yield f"{visits(count)} had both this and {source}" if count else f"it goes with {source}"
        elif reason.kind == "similar_users":
            yield f"{people(count)} who came to what you came to, came to this, too"
        elif reason.kind == "similar_content":
            yield f"it is described much like {reason.item_id}, which you came to {when(reason.item_id, recent)}"
        else:
            source = f"{reason.item_id}, which you came to {when(reason.item_id, recent)}"
            yield (
                f"{visits(count)} had both this and {source}"
                if count
                else f"visits that had {source}, often had what leads to it"
            )


def when(item: str | None, recent: Sequence[Met]) -> str:
    """How often in this visit the user met an item.

    >>> when("a", [Met("a", 2, 3)]), when("b", [Met("b", 0, 1)])
    ('twice in this visit', 'before')
    """
    session = next((met.session for met in recent if met.item_id == item), 0)
    return f"{often(session)} in this visit" if session else "before"
