"""The shop's figures, counted once more: of all events at a time, with sets, counters and decimals."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from customers_oracle import EPOCH, MOST, begins, lines, moment, paid, quantity
from oracle import INTERACTIONS, Parsed, country_of

STEPS = {"browse": "viewed", "click": "viewed", "add_to_cart": "carted", "purchase": "bought"}


@dataclass
class Place:
    """Of a day, a source, a country."""

    kinds: Counter[str] = field(default_factory=Counter)
    customers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By step, who took it; `seen` is anybody."""
    sessions: Counter[str] = field(default_factory=Counter)
    """By step, how many sessions took it here first."""
    units: Decimal = Decimal(0)
    spent: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    refunded: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


@dataclass
class Told:
    places: dict[str, Place] = field(default_factory=lambda: defaultdict(Place))
    """By day (2011-01-05), month (2011-01), `all`, `source:` and `country:`."""
    minutes: dict[str, Place] = field(default_factory=lambda: defaultdict(Place))
    """By hour (2011-01-05T13) and minute (2011-01-05T13:07)."""
    items: dict[str, Place] = field(default_factory=lambda: defaultdict(Place))
    days: dict[str, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))
    """Events of items, and of searches, by day."""
    cohorts: dict[tuple[date, date], Place] = field(default_factory=lambda: defaultdict(Place))
    """By the Mondays of the first order and of the week."""


def told(events: Sequence[Parsed], session_gap_ms: float) -> Told:
    """What these events come to, those of each customer in the order of the topic."""
    found = Told()
    by_user: dict[str, list[Parsed]] = defaultdict(list)
    for event in events:
        by_user[event.user].append(event)
    for user, theirs in by_user.items():
        _of_user(found, user, theirs, session_gap_ms)
    return found


def _of_user(found: Told, user: str, events: Sequence[Parsed], gap_ms: float) -> None:
    before: Parsed | None = None
    session: set[str] = set()
    cohort: date | None = None
    newest_ms = 0
    for event in events:
        when, step = moment(event), STEPS.get(event.kind)
        new: list[str] = []
        if event.kind in INTERACTIONS:
            if begins(before, event, gap_ms):
                session = set()
            new = list(steps(session, step))
            before = event
        places = ["all", f"{when:%Y-%m}", f"{when:%Y-%m-%d}"]
        named = {"source": event.fields.get("source"), "country": country_of(event)}
        places += [f"{name}:{value}" for name, value in named.items() if value]
        for place in places:
            _count(found.places[place], user, event, new)
        for name, length_ms in ((f"{when:%Y-%m-%dT%H}", 3_600_000), (f"{when:%Y-%m-%dT%H:%M}", 60_000)):
            # Who comes 64 hours, or minutes, after a newer event of hers is a customer of no hour, or minute.
            late = newest_ms // length_ms - event.time_ms // length_ms >= 64
            _count(found.minutes[name], user, event, new, is_late=late)
        newest_ms = max(newest_ms, event.time_ms)
        if event.kind in ("purchase", "refund"):
            monday = when.date() - timedelta(days=when.weekday())
            if event.kind == "purchase":
                cohort = cohort or monday
            if cohort:
                _count(found.cohorts[cohort, monday], user, event, [])
        _count_items(found, user, event, when.date())


def steps(taken: set[str], step: str | None) -> Iterable[str]:
    """The steps that are new in a session; adds them."""
    for each in ("seen", step, "both"):
        if each and each not in taken and (each != "both" or {"carted", "bought"} <= taken):
            taken.add(each)
            yield each


def _count(place: Place, user: str, event: Parsed, session: Iterable[str], *, is_late: bool = False) -> None:
    place.kinds[event.kind] += 1
    if not is_late:
        place.customers["seen"].add(user)
    if event.kind in STEPS:
        place.customers[STEPS[event.kind]].add(user)
    place.sessions.update(session)
    if event.kind == "purchase":
        place.units = min(place.units + sum(map(quantity, lines(event)), Decimal(0)), MOST)
        _add(place.spent, paid([event]))
    elif event.kind == "refund":
        _add(place.refunded, paid([event]))


def _add(total: dict[str, Decimal], more: dict[str, Decimal]) -> None:
    for currency, amount in more.items():
        total[currency] = min(total[currency] + amount, MOST)


def _count_items(found: Told, user: str, event: Parsed, day: date) -> None:
    query = " ".join((event.fields.get("query") or "").casefold().split())
    if event.kind == "search":
        if query:
            found.days[f"search:{query}"][day] += 1
        return
    for item in dict.fromkeys(event.items):
        place = found.items[item]
        found.days[f"item:{item}"][day] += 1
        alone = [line for line in lines(event) if str(line["item_id"]) == item]
        fields: dict[str, Any] = {"currency": event.fields.get("currency"), "items": alone}
        if len(lines(event)) == 1:
            fields["value"] = event.fields.get("value")
        _count(place, user, event._replace(fields=fields), [])


def newest(days: Counter[date], most: int) -> dict[date, int]:
    """Of the last so many days up to the newest."""
    last = max(days, default=EPOCH)
    return {day: count for day, count in days.items() if day > last - timedelta(days=most)}
