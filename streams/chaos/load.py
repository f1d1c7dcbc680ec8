"""The load: the events of a simulated shop, badly sent in every way, all the while and through every outage."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from types import TracebackType
from typing import NamedTuple, Self
from zlib import crc32

import msgspec
from kafka.errors import KafkaError

from recsys.record import MAX_BYTES
from streams.brokers import Brokers
from streams.demo.mishaps import sendings
from streams.demo.pace import on_time
from streams.seal import FORWARDED
from streams.sender import Acknowledged, Sender
from streams.shop.catalogue import build_catalogue
from streams.shop.shoppers import crowd
from streams.shop.traffic import events
from streams.shop.visits import Fields

PRODUCTS = 300
SHOPPERS = 300

# Shares of the events; more mishaps are those of the demo.
LATE = 0.03
NO_SESSION = 0.1
NO_KEY = 0.01
BAD = 0.004
"""After which a bad record follows."""
ANONYMOUS = 0.06
"""Which a known shopper does before she says who she is, from a device that she may share."""
BOTH = 0.03
"""Which carry her device's id beside her own."""
IDENTIFY = 0.003
"""After which she says who she is."""
DEVICES = 200
FORGET = 0.002
"""After which who did it, the shopper or the device, is forgotten."""
HOSTILE = 0.005
"""Which somebody sends with a `forwarded` header of his own making: they must change nothing."""

CONSENT = 0.1
"""Of the events of those who say anything of consent: with so many of them they say something else."""
SAYING = 20
"""One shopper of so many does."""

AGAIN_S = 0.5

BEHIND_S = (60, 1790, 1810, 86_400)
"""How late a late event is: about the gap that ends a session, too."""
BAD_VALUES: tuple[bytes | None, ...] = (
    None,
    b"",
    b"half a record {",
    b"[]",
    b'{"event_type": "click", "user_id": "u1"}',
    b'{"event_type": "stare", "user_id": "u1", "item_id": "i1"}',
    b'{"event_type": "click", "user_id": "anon:x", "item_id": "i1"}',
    b'{"event_type": "click", "user_id": "u1", "item_id": "i1", "price": NaN}',
    b'{"event_type": "click", "user_id": "\\ud800", "item_id": "i1"}',
    b'{"event_type": "click", "user_id": "u1", "item_id": "i1", "event_time": 1}',
    b'{"event_type": "click", "user_id": "u1", "item_id": "i1", "event_time": "2999-01-01T00:00:00Z"}',
    b"\xff\xfe",
    b'{"properties": ' + b"[" * 2000,
    b'{"event_type": "click", "user_id": "u1", "item_id": "' + b"x" * MAX_BYTES + b'"}',
)


class Dispatch(NamedTuple):
    """One record to send."""

    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def said(rng: Random, fields: Fields) -> Dispatch | None:
    """What the user of an event says of consent, if anything: a record of `users`.

    Few users do, and these again and again: a customer who ever refused cannot be recounted to the last event.
    """
    user = fields.get("user_id")
    if user is None or crc32(str(user).encode()) % SAYING or rng.random() >= CONSENT:
        return None
    consent = {what: rng.random() < 0.5 for what in ("personalise", "analyse")}
    return Dispatch(msgspec.json.encode({"consent": consent}), str(user).encode())


def shop_events(seed: int, rate: float, start_ms: int) -> Iterator[tuple[float, Fields]]:
    """The shop's events without end, each with the seconds after the start at which it is due."""
    rng = Random(f"events {seed}")
    catalogue = build_catalogue(rng, PRODUCTS)
    return events(rng, catalogue, crowd(rng, SHOPPERS, catalogue), rate=rate, start_ms=start_ms)


def recognised(rng: Random, fields: Fields) -> list[Fields]:
    """An event of a shopper as the shop can tell whose it is, and perhaps one that says so.

    >>> recognised(Random(5), {"anonymous_id": "v1"})
    [{'anonymous_id': 'v1'}]
    """
    if "user_id" not in fields:
        return [fields]
    device = {"anonymous_id": f"device-{crc32(fields['user_id'].encode()) % DEVICES}"}
    chance = rng.random()
    if chance < ANONYMOUS:
        return [{name: content for name, content in fields.items() if name != "user_id"} | device]
    if chance < ANONYMOUS + BOTH:
        return [fields | device]
    if chance < ANONYMOUS + BOTH + IDENTIFY:
        said = {name: fields[name] for name in ("user_id", "event_time")} | device
        return [fields, {"event_type": "identify", "event_id": f"{fields['event_id']}-identify"} | said]
    return [fields]


def dispatches(rng: Random, fields: Fields) -> list[Dispatch]:
    """The records that become of one event."""
    found = [dispatch for each in recognised(rng, fields) for dispatch in sent(rng, each)]
    if rng.random() < FORGET:
        found += [dispatch for each in recognised(rng, fields)[:1] for dispatch in sent(rng, forgetting(each))]
    return found


def forgetting(fields: Fields) -> Fields:
    """The event that forgets whose an event is.

    >>> forgetting({"event_type": "click", "anonymous_id": "v1", "event_time": "2026-01-01T00:00:00Z"})
    {'event_type': 'forget', 'event_time': '2026-01-01T00:00:00Z', 'anonymous_id': 'v1'}
    """
    who = "user_id" if "user_id" in fields else "anonymous_id"
    return {"event_type": "forget", "event_time": fields["event_time"], who: fields[who]}


def sent(rng: Random, fields: Fields) -> list[Dispatch]:
    """The records that become of one event on its way."""
    fields = dict(fields)
    if rng.random() < LATE:
        at = datetime.fromisoformat(fields["event_time"]) - timedelta(seconds=rng.choice(BEHIND_S))
        fields["event_time"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if rng.random() < NO_SESSION:
        fields.pop("session_id", None)
    key = str(fields.get("user_id") or fields["anonymous_id"]).encode()
    found = [Dispatch(sending.value, sending.key) for sending in sendings(rng, msgspec.json.encode(fields), key)]
    chance = rng.random()
    if chance < NO_KEY:
        found = [dispatch._replace(key=None) for dispatch in found]
    elif chance < NO_KEY + HOSTILE:
        header = f"{rng.randrange(3)}/999999999/1764000000000".encode()
        found = [dispatch._replace(headers=((FORWARDED, header),)) for dispatch in found]
    elif chance < NO_KEY + HOSTILE + BAD:
        found.append(Dispatch(rng.choice(BAD_VALUES), b"bad-%d" % rng.randrange(100)))
    return found


class Load:
    """A thread that sends at a rate until it is closed.

    What the broker never acknowledged is perhaps on the topic and perhaps not; it is told, and a new producer goes on.
    """

    def __init__(self, brokers: Brokers, topic: str, users: str, seed: int, rate: float) -> None:
        self.sent = self.acknowledged = self.producers = 0
        self.failure: Exception | None = None
        self._brokers = brokers
        self._end = threading.Event()
        self._events_to = self._new_sender(topic)
        self._users_to = self._new_sender(users)
        self._mishaps = Random(f"mishaps {seed}")
        self._consent = Random(f"consent {seed}")
        self._events = shop_events(seed, rate, time.time_ns() // 1_000_000)
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises what ended it."""
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            for _, fields in on_time(self._events, time.monotonic(), self._end):
                for dispatch in dispatches(self._mishaps, fields):
                    self.sent += 1
                    self._events_to = self._sent(self._events_to, dispatch, self._arrived)
                if (word := said(self._consent, fields)) is not None:
                    self._users_to = self._sent(self._users_to, word, None)
        except Exception as error:  # noqa: BLE001 (told to whoever checks or finishes it)
            self.failure = error

    def _sent(self, sender: Sender, dispatch: Dispatch, arrived: Acknowledged | None) -> Sender:
        """Sends a record; what sends the next one."""
        try:
            sender.send_as(dispatch.value, dispatch.key, arrived, dispatch.headers)
        except KafkaError as error:
            sender.failure = error
        if sender.failure is None:
            return sender
        sender.abandon()  # what it still held is given up: to send it anew could change its order
        return self._new_sender(sender.topic)

    def _arrived(self, *_: int) -> None:
        self.acknowledged += 1

    def _new_sender(self, topic: str) -> Sender:
        self.producers += 1
        while True:
            try:
                return Sender(self._brokers, topic)
            except KafkaError:  # the broker is down
                if self._end.wait(AGAIN_S):
                    raise

    def finish(self) -> None:
        """No more events; returns when the broker has what it will ever get. Raises what went wrong."""
        self._stop()
        self.check()
        for sender in (self._events_to, self._users_to):
            with suppress(KafkaError):  # what did not arrive is told by the numbers
                sender.close()

    def _stop(self) -> None:
        self._end.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stop()
        for sender in (self._events_to, self._users_to):
            sender.abandon()
