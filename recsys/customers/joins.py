"""Joins: a visitor turns out to be a customer. Who asks, who decides, and what is told from then on. Pure.

    the customer's home   an event with both ids, no repeat → `Identification`, to the visitor's home
    the visitor's home    joins whoever asks first → `Joined`, with the visitor as of then, to the customer's home
    the customer's home   keeps it as the visitor's `Part`; whoever tells of the customer merges the parts in

A customer's own account and history are never changed by it, so neither are counts; and a part can be taken out again:

    the customer's home   a customer is forgotten → `Forgotten`, to the homes of all whose ids came with the customer's
    the visitor's home    has joined nobody any more, or is forgotten → `Parted`, to the customer's home
    the customer's home   takes the part out
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from recsys import histories
from recsys.customers import account as accounts
from recsys.customers.account import Account, Joins, Part
from recsys.customers.days import day_of
from recsys.customers.merging import merged, told
from recsys.events import ANONYMOUS, Event, Kind
from recsys.returning import purchases

MOST_VISITORS = 20
"""Anonymous ids that may join one customer; with further ones nothing happens."""


class Deeds(NamedTuple):
    """What a visitor did up to an identification, packed; empty for nothing."""

    history: bytes = b""
    """The last interactions (`recsys.histories`)."""
    purchases: bytes = b""
    """What was bought and is held (`recsys.returning.purchases`)."""


class Identification(Struct, frozen=True, tag_field="event_type", tag="identify"):
    """To the visitor's home: a customer came with the visitor's id."""

    anonymous_id: str
    user_id: str
    event_time: int
    """Of the event that had both, in milliseconds."""
    form: str = ""
    """Of the state in which it was made (`recsys.layout.form_of`): in another one it is made anew."""


class Joined(Struct, frozen=True, tag_field="event_type", tag="joined"):
    """To the customer's home: the visitor joined, and was this up to then."""

    anonymous_id: str
    user_id: str
    event_time: int
    account: bytes
    history: bytes
    purchases: bytes = b""
    form: str = ""
    """As of an `Identification`."""

    @property
    def part(self) -> Part:
        return Part(self.account, self.history, self.purchases)


class Forgotten(Struct, frozen=True, tag_field="event_type", tag="forgotten"):
    """To visitors' home: a customer is forgotten, whom they may have joined."""

    anonymous_ids: tuple[str, ...]
    user_id: str
    event_time: int
    form: str = ""
    """As of an `Identification`."""


class Parted(Struct, frozen=True, tag_field="event_type", tag="parted"):
    """To the customer's home: visitors who had joined are forgotten, or have not joined any more."""

    anonymous_ids: tuple[str, ...]
    user_id: str
    event_time: int
    form: str = ""
    """As of an `Identification`."""


Several: TypeAlias = Forgotten | Parted
"""What may be about several visitors."""
Message: TypeAlias = Identification | Joined | Forgotten | Parted


class Letter(NamedTuple):
    """A message to another home, on account of the record of a partition at an offset."""

    partition: int
    offset: int
    message: Message

    @property
    def home_id(self) -> str:
        """The id whose hash is the partition where it belongs."""
        if isinstance(self.message, Identification):
            return self.message.anonymous_id
        return self.message.anonymous_ids[0] if isinstance(self.message, Forgotten) else self.message.user_id


def by_home(letters: Iterable[Letter], home_of: Callable[[str], int]) -> list[tuple[int, Letter]]:
    """Letters with the partition where each belongs. What is to be said there on account of one record is said in one letter:
    of two with one origin the second would be a repeat.

    >>> letters = [Letter(0, 7, Forgotten((visitor,), "u", 0)) for visitor in ("v", "w", "x")]
    >>> [(home, letter.message.anonymous_ids) for home, letter in by_home(letters, {"v": 1, "w": 2, "x": 1}.get)]
    [(1, ('v', 'x')), (2, ('w',))]
    """
    found: dict[tuple[int, int, int], Letter] = {}
    for letter in letters:
        name = home_of(letter.home_id), letter.partition, letter.offset
        there = found.get(name)
        if there is not None and isinstance(there.message, Several) and isinstance(letter.message, Several):
            everybody = there.message.anonymous_ids + letter.message.anonymous_ids
            letter = letter._replace(message=replace(there.message, anonymous_ids=everybody))  # noqa: PLW2901
        found[name] = letter
    return [(home, letter) for (home, _, _), letter in found.items()]


Post: TypeAlias = Callable[[Sequence[Letter]], Awaitable[None]]
"""Sends letters, those of a partition in order; returns when they cannot be lost any more."""

_decoder = msgspec.json.Decoder(Message)
encode = msgspec.json.Encoder().encode


class BadMessage(ValueError):
    """A record with a genuine seal, and no message: somebody who knows the secret made it."""


def decode(value: bytes, form: str = "") -> Message:
    """The message in a record that a worker wrote; what it brings can be read where it is of this form. Raises `BadMessage`.

    >>> message = Joined("v1", "u1", 10**12, accounts.pack(Account()), b"")
    >>> decode(encode(message)) == message
    True
    """
    try:
        message: Message = _decoder.decode(value)
        if isinstance(message, Joined) and message.form == form:
            accounts.unpack(message.account)
            histories.unpack([message.history or None], 1)
            purchases.unpack([message.purchases])
    except ValueError as error:
        raise BadMessage(f"no message of a worker, though it has the seal of one: {error}") from None
    return message


def events_of(message: Message) -> list[Event]:
    """What a message is in the log of its home: for each of those whom it is about an event of nobody's doing, which counts
    for no one."""
    if isinstance(message, Forgotten):
        users = [ANONYMOUS + visitor for visitor in message.anonymous_ids]
    else:
        users = [ANONYMOUS + message.anonymous_id if isinstance(message, Identification) else message.user_id]
    return [Event(kind=Kind.IDENTIFY, user_id=user, lines=(), time_ms=message.event_time) for user in users]


def ask(customer: Account, event: Event) -> Identification | None:
    """Whether an event that is no repeat identifies a visitor as its customer; notes it in the account.

    `identify` always does. Other events with both ids do it once a day, since many producers send both with each.

    >>> from msgspec.structs import replace
    >>> customer, click = Account(), Event(kind=Kind.CLICK, user_id="u", lines=(), time_ms=10**12, visitor="v")
    >>> ask(customer, click) is None, ask(customer, click) is None
    (False, True)
    >>> ask(customer, replace(click, time_ms=10**12 + 86_400_000)) is None
    False
    """
    if event.visitor is None:
        return None
    joins = customer.joins = customer.joins or Joins()
    day, newest = day_of(event.time_ms), joins.asked.get(event.visitor)
    if newest is None and len(joins.asked) >= MOST_VISITORS:
        return None
    if newest is not None and day <= newest and event.kind is not Kind.IDENTIFY:
        return None
    joins.asked[event.visitor] = day if newest is None else max(day, newest)
    return Identification(event.visitor, event.user_id, event.time_ms)


def answer(visitor: Account, asked: Identification, deeds: Deeds) -> Joined | None:
    """Joins the visitor to the customer who asks, unless another one was first; None where there is nothing to tell, either.

    Whether it was refused, `refuses` says beforehand. `deeds` is what the visitor did up to here.

    >>> visitor = Account(kinds={1: 1})
    >>> answer(visitor, Identification("v", "u", 0), Deeds()) is None, refuses(visitor, Identification("v", "other", 0))
    (False, True)
    """
    if refuses(visitor, asked):
        return None
    joins = visitor.joins = visitor.joins or Joins()
    joins.customer = asked.user_id
    if not visitor.kinds:
        return None
    return Joined(asked.anonymous_id, asked.user_id, asked.event_time, accounts.pack(told(visitor)), *deeds)


def refuses(visitor: Account, asked: Identification) -> bool:
    """Whether the visitor has joined another customer: on a shared device, whoever was known first keeps it."""
    return visitor.joins is not None and visitor.joins.customer not in ("", asked.user_id)


def farewell(account: Account, user: str, time_ms: int) -> list[Message]:
    """What other homes are told when this user is forgotten: of a customer, those of all visitors who may have joined; of a
    visitor, that of the customer whom the visitor joined.

    >>> [type(said).__name__ for said in farewell(Account(joins=Joins(asked={"v": 20_000, "w": 20_001})), "u", 0)]
    ['Forgotten', 'Forgotten']
    >>> farewell(Account(joins=Joins("u")), "anon:v", 0)
    [Parted(anonymous_ids=('v',), user_id='u', event_time=0, form='')]
    """
    joins = account.joins or Joins()
    told: list[Message] = [Forgotten((visitor,), user, time_ms) for visitor in joins.asked]
    if joins.customer:
        told.append(Parted((user.removeprefix(ANONYMOUS),), joins.customer, time_ms))
    return told


def release(visitor: Account, user: str, forgotten: Forgotten) -> list[Message]:
    """Unbinds a visitor whose customer is forgotten; what the customer's home is told of it, which may know the customer anew.

    >>> visitor = Account(joins=Joins("u"))
    >>> release(visitor, "anon:v", Forgotten(("v",), "other", 0)), release(visitor, "anon:v", Forgotten(("v",), "u", 0))
    ([], [Parted(anonymous_ids=('v',), user_id='u', event_time=0, form='')])
    >>> visitor.joins is None
    True
    """
    if visitor.joins is None or visitor.joins.customer != forgotten.user_id:
        return []
    told = farewell(visitor, user, forgotten.event_time)
    visitor.joins = None
    return told


def part_from(customer: Account, parted: Parted) -> None:
    """Takes out what these visitors did. That their ids came with the customer's stays: it is what the customer did."""
    if customer.joins is not None:
        for visitor in parted.anonymous_ids:
            customer.joins.parts.pop(visitor, None)


def take_in(customer: Account, joined: Joined) -> None:
    """Keeps the visitor as it now is, in place of what it was when it joined before."""
    joins = customer.joins = customer.joins or Joins()
    if joined.anonymous_id in joins.parts or len(joins.parts) < MOST_VISITORS:
        joins.parts[joined.anonymous_id] = joined.part


def whole(customer: Account) -> Account:
    """The account with all visitors who joined.

    >>> customer = Account(kinds={1: 2})
    >>> take_in(customer, Joined("v", "u", 0, accounts.pack(Account(kinds={1: 1})), b""))
    >>> whole(customer).kinds, customer.kinds
    ({1: 3}, {1: 2})
    """
    if customer.joins is None:
        return customer
    for part in customer.joins.parts.values():
        customer = merged(customer, accounts.unpack(part.account))
    return customer


def stands_alone(account: Account) -> bool:
    """Whether an account is that of a customer: one with events, and not of a visitor who is told with the customer now.

    >>> stands_alone(Account(kinds={1: 1})), stands_alone(Account(kinds={1: 1}, joins=Joins("u")))
    (True, False)
    """
    return bool(account.kinds) and not (account.joins is not None and account.joins.customer)
