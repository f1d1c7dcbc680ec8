"""Forgetting: users are erased by an event of theirs, in the order of the log; here it is asked for, and waited for.

See docs/decisions/0032-what-forgetting-does.md.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from recsys.connection import Client, read_values
from recsys.customers import account
from recsys.events import ANONYMOUS, decode
from recsys.histories import BYTES_PER_INTERACTION
from recsys.keys import Keys
from streams import topics
from streams.home import home_partition
from streams.lag import Span, falling, read_spans, read_total_behind
from streams.sender import Sender
from streams.settings import Settings

POLL_S = 0.1
STALLED_S = 15.0
"""Where nothing moves for so long no worker runs: a group needs less to find out that a worker died."""
LETTERS = 2
"""Ways through Kafka after the events themselves: to the homes of visitors who joined, and back (`recsys.customers.joins`)."""


class Kept(Struct, frozen=True):
    """What there is of a user."""

    user_id: str
    interactions: int
    """In the history."""
    purchases: bool
    events: int
    """In the account."""
    recommendation: bool
    customer: bool
    described: bool
    """By the shop, on the topic `users`."""
    visitors: tuple[str, ...] = ()
    """Who joined the customer, by anonymous id."""

    @property
    def nothing(self) -> bool:
        return not (self.interactions or self.purchases or self.events or self.visitors) and not (
            self.recommendation or self.customer or self.described
        )


class Asked(NamedTuple):
    """Where the records stand that ask to forget: the newest offset by partition."""

    events: dict[int, int]
    users: dict[int, int]


def event_of(user: str) -> bytes:
    """The event that forgets a user. Raises `recsys.events.InvalidEvent` for what is no id of one.

    >>> event_of("u1"), event_of("anon:v1")
    (b'{"event_type":"forget","user_id":"u1"}', b'{"event_type":"forget","anonymous_id":"v1"}')
    """
    who = {"anonymous_id": user.removeprefix(ANONYMOUS)} if user.startswith(ANONYMOUS) else {"user_id": user}
    value = msgspec.json.encode({"event_type": "forget", **who})
    decode(value, int(time.time() * 1000))
    return value


def read_kept(client: Client, keys: Keys, users: Sequence[str], partitions: int) -> list[Kept]:
    """What there is of each of the users."""
    return [_read(client, keys, user, home_partition(user.removeprefix(ANONYMOUS), partitions)) for user in users]


def _read(client: Client, keys: Keys, user: str, home: int) -> Kept:
    names = [keys.user(home, user), keys.bought(home, user), keys.account(home, user)]
    names += [keys.recs(user), keys.customer(user), keys.described(user)]
    history, bought, stored, recommended, told, described = read_values(client, names)
    theirs = account.unpack(stored)
    return Kept(
        user_id=user,
        interactions=len(history or b"") // BYTES_PER_INTERACTION,
        purchases=bool(bought),
        events=sum(theirs.kinds.values()),
        recommendation=recommended is not None,
        customer=told is not None,
        described=described is not None,
        visitors=() if theirs.joins is None else tuple(sorted(theirs.joins.parts)),
    )


def ask(settings: Settings, kept: Sequence[Kept]) -> Asked:
    """Asks the workers to forget these users and the visitors who joined them; returns when Kafka has it. Visitors come first:
    whoever breaks off and asks again still finds them. Raises `kafka.errors.KafkaError`."""
    visitors = [ANONYMOUS + visitor for each in kept for visitor in each.visitors]
    asked = Asked({}, {})
    for users in (visitors, [each.user_id for each in kept]):
        events = [(user.removeprefix(ANONYMOUS), event_of(user)) for user in users]
        _send(settings, settings.topic(topics.EVENTS), events, asked.events)
        _send(settings, settings.topic(topics.USERS), [(user, None) for user in users], asked.users)
    return asked


def _send(settings: Settings, topic: str, records: Sequence[tuple[str, bytes | None]], ends: dict[int, int]) -> None:
    """Sends records, and notes in `ends` where they stand."""

    def arrived(partition: int, offset: int, _: int) -> None:
        ends[partition] = max(offset, ends.get(partition, -1))

    if not records:
        return
    sender = Sender(settings.brokers, topic)
    try:
        for key, value in records:
            sender.send_as(value, key.encode(), arrived)
        sender.close()
    finally:
        sender.abandon()


def caught_up(settings: Settings, client: Client) -> bool:
    """Waits until all that is on the topic now is processed; whether it came to that."""
    return _over(settings, client, read_spans(settings.brokers, settings.topic(topics.EVENTS)))


def done(settings: Settings, client: Client, asked: Asked) -> bool:
    """Waits until what was asked for is done, at the homes of visitors who joined, too; whether it came to that."""
    if not _over(settings, client, {partition: Span(0, offset + 1) for partition, offset in asked.events.items()}):
        return False
    if not all(caught_up(settings, client) for _ in range(LETTERS)):
        return False
    marks = [Keys(settings.key_prefix).users_mark(partition) for partition in asked.users]

    def left() -> int:
        found = read_values(client, marks)
        return sum(int(mark or -1) < offset for mark, offset in zip(found, asked.users.values(), strict=True))

    return moves_to_nothing(left)


def _over(settings: Settings, client: Client, spans: Mapping[int, Span]) -> bool:
    return moves_to_nothing(lambda: read_total_behind(client, settings.key_prefix, spans))


def moves_to_nothing(left: Callable[[], int]) -> bool:
    """Waits until nothing is left; False where it does not get less for `STALLED_S`."""
    return all(idle_s <= STALLED_S for _, idle_s in falling(left, POLL_S))
