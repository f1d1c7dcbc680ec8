"""Joins: a visitor turns out to be a customer. Who asks, who decides, and what is told from then on. Pure.

    the customer's home   an event with both ids, no repeat → `Identification`, to the visitor's home
    the visitor's home    joins whoever asks first → `Joined`, with the visitor as of then, to the customer's home
    the customer's home   keeps it as the visitor's `Part`; whoever tells of the customer merges the parts in

A customer's own account and history are never changed by it, so neither are counts; and a part can be taken out again.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from recsys import histories
from recsys.customers import account as accounts
from recsys.customers.account import Account, Joins, Part
from recsys.customers.days import day_of
from recsys.customers.merging import merged, told
from recsys.events import ANONYMOUS, Event, Kind

MOST_VISITORS = 20
"""Anonymous ids that may join one customer; with further ones nothing happens."""


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
    form: str = ""
    """As of an `Identification`."""

    @property
    def part(self) -> Part:
        return Part(self.account, self.history)


Message: TypeAlias = Identification | Joined


class Letter(NamedTuple):
    """A message to another home, on account of the record of a partition at an offset."""

    partition: int
    offset: int
    message: Message

    @property
    def home_id(self) -> str:
        """The id whose hash is the partition where it belongs."""
        return self.message.anonymous_id if isinstance(self.message, Identification) else self.message.user_id


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
    except ValueError as error:
        raise BadMessage(f"no message of a worker, though it has the seal of one: {error}") from None
    return message


def event_of(message: Message) -> Event:
    """What a message is in the log of its home: an event of nobody's doing, which counts for no one."""
    user = ANONYMOUS + message.anonymous_id if isinstance(message, Identification) else message.user_id
    return Event(kind=Kind.IDENTIFY, user_id=user, lines=(), time_ms=message.event_time)


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


def answer(visitor: Account, asked: Identification, history: bytes) -> Joined | None:
    """Joins the visitor to the customer who asks, unless another one was first; None where there is nothing to tell, either.

    Whether it was refused, `refuses` says beforehand. `history` is what the visitor did up to here.

    >>> visitor = Account(kinds={1: 1})
    >>> answer(visitor, Identification("v", "u", 0), b"") is None, refuses(visitor, Identification("v", "other", 0))
    (False, True)
    """
    if refuses(visitor, asked):
        return None
    joins = visitor.joins = visitor.joins or Joins()
    joins.customer = asked.user_id
    if not visitor.kinds:
        return None
    return Joined(asked.anonymous_id, asked.user_id, asked.event_time, accounts.pack(told(visitor)), history)


def refuses(visitor: Account, asked: Identification) -> bool:
    """Whether the visitor has joined another customer: on a shared device, whoever was known first keeps it."""
    return visitor.joins is not None and visitor.joins.customer not in ("", asked.user_id)


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
