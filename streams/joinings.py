"""Joinings: which visitor joined which customer, recounted by the contract's words alone; shares no code with the accounts."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import NamedTuple

from recsys.events import ANONYMOUS, Event, Kind
from streams.records import Place

MOST_VISITORS = 20
"""Who join one customer."""
DAY_MS = 86_400_000

Paid = dict[tuple[str, str], Decimal]
"""What was `spent` and what `refunded`, by currency."""


class Deeds(NamedTuple):
    """What one did, as far as it is counted again."""

    events: Counter[str]
    """Of each type."""
    paid: Paid


class Message(NamedTuple):
    """What one home told another of a visitor and a customer."""

    what: str
    visitor: str
    customer: str
    place: Place
    """Of the message."""
    came_of: Place
    """The record on whose account it was sent."""


class Farewell(NamedTuple):
    """What one home tells another: a visitor's, that the customer is `forgotten`, or a customer's, that the visitor has
    `parted`."""

    place: Place
    """Of the record on whose account."""
    what: str
    visitor: str
    customer: str


class Joinings:
    """Who joined whom, and what homes told one another of it, held apart: what was to be told, and what was."""

    def __init__(self) -> None:
        self.asked: dict[str, dict[str, int]] = defaultdict(dict)
        """By user, the anonymous ids that came with the user's, by the newest day on which they did."""
        self.identifies: dict[Place, tuple[str, str]] = {}
        """The records that say that a visitor is a customer, and these two."""
        self.identified: dict[Place, tuple[str, str]] = {}
        """The same, by the messages that visitors' homes were sent."""
        self.customer_of: dict[str, str] = {}
        """By visitor, the customer whom the visitor joined: the first that was said at the visitor's home."""
        self.as_joined: dict[Place, tuple[str, Deeds]] = {}
        """By the message that identified a visitor as a customer, this customer, and what the visitor had done by then."""
        self.answered: dict[Place, str] = {}
        """By the same, the customer whose home was told of it."""
        self.heard_of: dict[str, list[tuple[str, Place | None]]] = defaultdict(list)
        """By customer, what the home heard of visitors since the customer was forgotten, if ever: each joined, as of such a
        message, or None: parted."""
        self.farewells: set[Farewell] = set()
        """Those that are to be said."""
        self.heard_farewells: set[Farewell] = set()

    def ask(self, event: Event, place: Place) -> None:
        """Takes an event at its customer's home: with a visitor's id beside the customer's, it may say that these are one."""
        if event.visitor is not None and asks(self.asked[event.user_id], event.visitor, event):
            self.identifies[place] = event.visitor, event.user_id

    def hear(self, message: Message, done: Deeds | None) -> None:
        """Takes a message that is heard for the first time; `done` is what the visitor did so far, None: nothing."""
        what, visitor, customer, place, came_of = message
        if what == "joined":
            self.answered[came_of] = customer
            if self.asked.get(customer):  # else the customer was forgotten since asking
                self.heard_of[customer].append((visitor, came_of))
        elif what == "parted":
            self.heard_farewells.add(Farewell(came_of, what, visitor, customer))
            self.heard_of[customer].append((visitor, None))
        elif what == "forgotten":
            self.heard_farewells.add(Farewell(came_of, what, visitor, customer))
            if self.customer_of.get(visitor) == customer:
                self._part(visitor, place)
        else:
            self.identified[came_of] = visitor, customer
            if self.customer_of.setdefault(visitor, customer) == customer and done is not None:
                self.as_joined[place] = customer, Deeds(done.events.copy(), done.paid.copy())

    def forget(self, user: str, place: Place) -> None:
        """Unbinds who is forgotten by the record at this place: a customer from all visitors, a visitor from the customer."""
        self.heard_of.pop(user, None)
        for visitor in self.asked.pop(user, {}):
            self.farewells.add(Farewell(place, "forgotten", visitor, user))
        if user.startswith(ANONYMOUS):
            self._part(user.removeprefix(ANONYMOUS), place)

    def _part(self, visitor: str, place: Place) -> None:
        """Unbinds a visitor from the customer, if there is one."""
        if visitor in self.customer_of:
            self.farewells.add(Farewell(place, "parted", visitor, self.customer_of.pop(visitor)))

    def joined(self, customer: str) -> dict[str, Deeds]:
        """By visitor who joined a customer, what the visitor had done when last identified; to be asked when all is counted."""
        found: dict[str, Deeds] = {}
        for visitor, place in self.heard_of.get(customer, ()):
            found.pop(visitor, None)
            if place in self.as_joined:
                found[visitor] = self.as_joined[place][1]
        return found


def asks(asked: dict[str, int], visitor: str, event: Event) -> bool:
    """Whether an event with both ids says that the visitor is its customer: the first of the two, the first of a later day, and
    whatever identifies. Notes its day."""
    day, newest = event.time_ms // DAY_MS, asked.get(visitor)
    if newest is None and len(asked) == MOST_VISITORS:
        return False
    asked[visitor] = day if newest is None else max(day, newest)
    return newest is None or day > newest or event.kind is Kind.IDENTIFY
