"""The ledger of a partition: the figures of all scopes that a batch touches, and how an event changes them."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from recsys.calendar import HOUR_MS, MINUTE_MS
from recsys.customers import firsts
from recsys.customers.account import Account
from recsys.customers.firsts import Firsts
from recsys.customers.money import NO_CURRENCY, amount, units, worth
from recsys.events import Event, Kind, Line
from recsys.ledger import scopes
from recsys.ledger.figures import Figures, Hour, Paid, Reach, Subject, Value, Week
from recsys.ledger.steps import TAKEN

V = TypeVar("V", Reach, Figures, Hour, Subject, Week)


class Written(NamedTuple):
    """What is to be stored of a ledger, by scope."""

    lasting: dict[str, bytes]
    brief: dict[str, bytes]
    """With a lifetime: see `scopes.BRIEF`."""


class OpenHour(NamedTuple):
    """An hour that events of the batch are in: its scopes, and the figures of its day and its own."""

    when: scopes.Times
    day: Figures
    hour: Hour


class Ledger:
    """Opened on what is stored, by scope, of a partition; `scopes.scopes` says what must be read for events.

    >>> from recsys.ledger.steps import SEEN
    >>> ledger, account = Ledger({}), Account()
    >>> search = Event(kind=Kind.SEARCH, user_id="u", lines=(), time_ms=10**12, query="shoes")
    >>> ledger.count(search, account, firsts.note(account, search, 1_800_000))
    >>> sorted(ledger.written().brief)
    ['hour:2001-09-09T01', 'search:shoes']
    """

    def __init__(self, stored: Mapping[str, bytes | None]) -> None:
        self._stored = stored
        self._open: dict[str, Value] = {}
        self._names = scopes.unpack_names(stored.get(scopes.NAMES))
        self._places: dict[tuple[int, str | None, str | None], tuple[str | None, str | None]] = {}
        """By day, source and country, the scopes of the latter two."""
        self._hours: dict[int, OpenHour] = {}
        self._items: dict[str, Subject] = {}

    def count(self, event: Event, account: Account, first: Firsts) -> None:
        """Counts an event that is no repeat; `first` is what it is the first of for the customer of the account.

        Notes in the account in which places the customer was, and what was bought.
        """
        kind, (when, of_day, of_hour) = event.kind, self._hour(event.time_ms // HOUR_MS)
        paid = whole(event)
        there = when.number, event.source, event.country
        if there not in self._places:
            country = scopes.country(event)
            self._places[there] = self._names.note(when.number, scopes.source(event), country), country
        places = self._places[there]
        if first.ever:
            self._value(scopes.ALL, Reach).add(first.ever)
        if first.month:
            self._value(when.month, Reach).add(first.month)
        of_day.count(kind, first.day, first.session, paid)
        of_hour.count(event.time_ms // MINUTE_MS % 60, kind, first.hour, first.minute, paid)
        for place in places:
            if place is not None:
                self._value(place, Figures).count(kind, firsts.in_place(account, place, TAKEN[kind]), first.session, paid)
        if paid is not None and account.cohort:
            self._value(when.week, Week).count(account.cohort, kind, first.week, paid)
        search = scopes.search(event)
        if search is not None:
            self._value(search, Subject).count(kind, when.number, (), is_first=False)
        if paid is not None:
            self._count_traded(event, account, when.number)
        else:
            for item in dict.fromkeys([line.item_id for line in event.lines]):
                self._item(item).count(kind, when.number, (), is_first=False)

    def _count_traded(self, event: Event, account: Account, day: int) -> None:
        """The items of a purchase or refund."""
        by_item: dict[str, list[Paid]] = {}
        for line in event.lines:
            by_item.setdefault(line.item_id, []).append(of_line(event, line))
        new = firsts.bought(account, set(by_item)) if event.kind is Kind.PURCHASE else ()
        for item, lines in by_item.items():
            self._item(item).count(event.kind, day, lines, item in new)

    def _hour(self, hour: int) -> OpenHour:
        found = self._hours.get(hour)
        if found is None:
            when = scopes.times(hour)
            found = self._hours[hour] = OpenHour(when, self._value(when.day, Figures), self._value(when.hour, Hour))
        return found

    def _item(self, item_id: str) -> Subject:
        found = self._items.get(item_id)
        if found is None:
            found = self._items[item_id] = self._value(scopes.item(item_id), Subject)
        return found

    def _value(self, scope: str, shape: type[V]) -> V:
        found = self._open.get(scope)
        if found is None:
            found = self._open[scope] = scopes.unpack_as(shape, self._stored.get(scope))
        return found  # type: ignore[return-value]

    def written(self) -> Written:
        """What has changed."""
        found = Written({}, {})
        for scope, value in self._open.items():
            (found.brief if scopes.kind_of(scope) in scopes.BRIEF else found.lasting)[scope] = scopes.pack(value)
        names = scopes.pack(self._names)
        if self._open and names != self._stored.get(scopes.NAMES):  # without an event nothing was read
            found.lasting[scopes.NAMES] = names
        return found


def whole(event: Event) -> Paid | None:
    """What an event says of money and goods; None where its kind says nothing of them.

    >>> whole(Event(kind=Kind.REFUND, user_id="u", lines=(Line("a", price=2.5),), time_ms=0, currency="EUR"))
    Paid(currency='EUR', spent=0, refunded=2500000, units=0)
    """
    if event.kind is Kind.PURCHASE:
        return Paid(event.currency or NO_CURRENCY, spent=amount(event), units=sum(map(units, event.lines)))
    if event.kind is Kind.REFUND:
        return Paid(event.currency or NO_CURRENCY, refunded=amount(event))
    return None


def of_line(event: Event, line: Line) -> Paid:
    """The same of a line of a purchase or refund. A `value` for several items is worth nothing to any of them."""
    currency = event.currency or NO_CURRENCY
    paid = 0
    if line.price is not None:
        paid = worth(line)
    elif len(event.lines) == 1:
        paid = amount(event)
    if event.kind is Kind.REFUND:
        return Paid(currency, refunded=paid)
    return Paid(currency, spent=paid, units=units(line))
