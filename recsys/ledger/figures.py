"""Figures: what is added up of events, whole numbers all of it, so that parts can be added up again."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self, TypeVar

import msgspec
from msgspec import Struct

from recsys.customers.money import MOST
from recsys.events import Kind
from recsys.ledger.steps import BOTH, BOUGHT, CARTED, SEEN, VIEWED

RECENT_DAYS = 28
"""Up to the newest of an item or a search, days that are told apart."""

Name = TypeVar("Name", int, str)
Amounts = dict[str, int]
"""Millionths by currency."""


class Paid(NamedTuple):
    """What an event, or a line of it, says of money and goods."""

    currency: str
    spent: int = 0
    refunded: int = 0
    """In millionths, both."""
    units: int = 0
    """Bought, in millionths."""


class Reach(Struct, array_like=True, gc=False):
    """How many customers, or sessions, took which step on the way to a purchase: see `recsys.ledger.steps`."""

    seen: int = 0
    viewed: int = 0
    carted: int = 0
    bought: int = 0
    both: int = 0
    """Put something into the cart, and bought."""

    def add(self, steps: int) -> None:
        """Counts one more that has now taken these steps."""
        self.seen += steps & SEEN
        if steps > SEEN:
            self.viewed += steps & VIEWED > 0
            self.carted += steps & CARTED > 0
            self.bought += steps & BOUGHT > 0
            self.both += steps & BOTH > 0

    def merge(self, other: Self) -> None:
        """Adds what another partition counted."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Figures(Struct, array_like=True, gc=False):
    """Of a time or a place: events, distinct customers, sessions, goods and money."""

    kinds: dict[int, int] = {}
    """Events by `Kind`."""
    customers: Reach = msgspec.field(default_factory=Reach)
    """Distinct ones."""
    sessions: Reach = msgspec.field(default_factory=Reach)
    """Each step where the session takes it first."""
    units: int = 0
    spent: Amounts = {}
    refunded: Amounts = {}

    def count(self, kind: Kind, customer: int, session: int, paid: Paid | None) -> None:
        """Counts an event; `customer` and `session` are the steps that these had not taken here before."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if customer:
            self.customers.add(customer)
        if session:
            self.sessions.add(session)
        if paid is not None:
            pay(self, paid)

    def merge(self, other: Self) -> None:
        """Adds what another partition counted."""
        add_all(self.kinds, other.kinds)
        self.customers.merge(other.customers)
        self.sessions.merge(other.sessions)
        _merge_paid(self, other)


class Minute(Struct, array_like=True, gc=False):
    """Of a minute."""

    events: int = 0
    customers: int = 0
    """Distinct ones."""
    orders: int = 0
    spent: Amounts = {}


class Hour(Struct, array_like=True, gc=False):
    """Of an hour, which its minutes add up to, but for distinct customers."""

    customers: int = 0
    minutes: dict[int, Minute] = {}
    """By their number in the hour."""

    def count(self, minute: int, kind: Kind, first_in_hour: bool, first_in_minute: bool, paid: Paid | None) -> None:
        """Counts an event; the flags say of what it is the customer's first."""
        self.customers += first_in_hour
        found = self.minutes.get(minute)
        if found is None:
            found = self.minutes[minute] = Minute()
        found.events += 1
        found.customers += first_in_minute
        found.orders += kind is Kind.PURCHASE
        if paid is not None and paid.spent:
            add(found.spent, paid.currency, paid.spent)

    def merge(self, other: Self) -> None:
        """Adds what another partition counted."""
        self.customers += other.customers
        for minute, theirs in other.minutes.items():
            ours = self.minutes.setdefault(minute, Minute())
            ours.events += theirs.events
            ours.customers += theirs.customers
            ours.orders += theirs.orders
            add_all(ours.spent, theirs.spent)


class Subject(Struct, array_like=True, gc=False):
    """Of an item, or of what was searched for."""

    kinds: dict[int, int] = {}
    """Events with it by `Kind`; one in which it stands twice counts once."""
    buyers: int = 0
    """Distinct customers who bought it."""
    units: int = 0
    spent: Amounts = {}
    refunded: Amounts = {}
    recent: dict[int, int] = {}
    """Events by day, of the last `RECENT_DAYS` up to the newest that has one."""
    newest: int = 0
    """That day."""

    def count(self, kind: Kind, day: int, lines: Iterable[Paid], is_first: bool) -> None:
        """Counts an event; `is_first` says whether the customer buys it for the first time."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.buyers += is_first
        for line in lines:
            pay(self, line)
        if day > self.newest:
            self.newest = day
            for old in [old for old in self.recent if old <= day - RECENT_DAYS]:
                del self.recent[old]
        if day > self.newest - RECENT_DAYS:
            self.recent[day] = self.recent.get(day, 0) + 1

    def merge(self, other: Self) -> None:
        """Adds what another partition counted."""
        add_all(self.kinds, other.kinds)
        self.buyers += other.buyers
        _merge_paid(self, other)
        self.newest = max(self.newest, other.newest)
        add_all(self.recent, other.recent)
        for old in [old for old in self.recent if old <= self.newest - RECENT_DAYS]:
            del self.recent[old]


class Cell(Struct, array_like=True, gc=False):
    """Of a cohort in a week."""

    buyers: int = 0
    """Distinct customers."""
    orders: int = 0
    spent: Amounts = {}
    refunded: Amounts = {}


class Week(Struct, array_like=True, gc=False):
    """Of a week, by cohort: customers by the week of the order of theirs that was counted first."""

    cohorts: dict[int, Cell] = {}

    def count(self, cohort: int, kind: Kind, is_first: bool, paid: Paid | None) -> None:
        """Counts a purchase or refund; `is_first` says whether it is the customer's first order in this week."""
        cell = self.cohorts.get(cohort)
        if cell is None:
            cell = self.cohorts[cohort] = Cell()
        cell.buyers += is_first
        cell.orders += kind is Kind.PURCHASE
        if paid is not None:
            _add_amounts(cell, paid)

    def merge(self, other: Self) -> None:
        """Adds what another partition counted."""
        for cohort, theirs in other.cohorts.items():
            ours = self.cohorts.setdefault(cohort, Cell())
            ours.buyers += theirs.buyers
            ours.orders += theirs.orders
            add_all(ours.spent, theirs.spent)
            add_all(ours.refunded, theirs.refunded)


Value = Reach | Figures | Hour | Subject | Week
"""What is stored under a scope: see `recsys.ledger.scopes`."""


def pay(figures: Figures | Subject, paid: Paid) -> None:
    """Adds what was paid, and bought for it."""
    figures.units = min(figures.units + paid.units, MOST)
    _add_amounts(figures, paid)


def add(counts: Amounts, name: str, count: int) -> None:
    counts[name] = min(counts.get(name, 0) + count, MOST)


def add_all(counts: dict[Name, int], more: Mapping[Name, int]) -> None:
    """Adds up counts by name.

    >>> counts = {"EUR": 2}
    >>> add_all(counts, {"EUR": 1, "USD": 5})
    >>> counts
    {'EUR': 3, 'USD': 5}
    """
    for name, count in more.items():
        counts[name] = min(counts.get(name, 0) + count, MOST)


def _add_amounts(figures: Figures | Subject | Cell, paid: Paid) -> None:
    if paid.spent:
        add(figures.spent, paid.currency, paid.spent)
    if paid.refunded:
        add(figures.refunded, paid.currency, paid.refunded)


def _merge_paid(ours: Figures | Subject, theirs: Figures | Subject) -> None:
    ours.units = min(ours.units + theirs.units, MOST)
    add_all(ours.spent, theirs.spent)
    add_all(ours.refunded, theirs.refunded)
