"""`otto`: OTTO's sessions of clicks, carts and orders, one JSON object a line."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from recsys.readers.source import Source

TYPES = {"clicks": "click", "carts": "add_to_cart", "orders": "purchase"}


class _Session(Struct):
    session: int | str
    events: list[msgspec.Raw]


class _Action(Struct):
    aid: int | str
    ts: int
    type: Literal["clicks", "carts", "orders"]


def events(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """An event for each action, in the file's order: session by session, in time order only within each.

    | field | becomes |
    |---|---|
    | `session` | `user_id` |
    | `aid` | `item_id` |
    | `ts` | `event_time`, milliseconds (seconds in some copies: the contract tells them apart) |
    | `type` | `event_type`: `clicks` → `click`, `carts` → `add_to_cart`, `orders` → `purchase` |

    There is no `session_id`: what the publisher calls a session is all that a visitor did in weeks, so half an hour
    without an event ends a session, as everywhere.
    """
    session_of = msgspec.json.Decoder(_Session).decode
    action_of = msgspec.json.Decoder(_Action).decode
    begun = False
    for number, line in source.lines():
        try:
            session = session_of(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = line.decode("utf-8", "replace")
            if not begun:
                raise source.wrong(text, 'OTTO\'s lines {"session":…,"events":[{"aid":…,"ts":…,"type":…},…]}') from None
            source.bad.add(number, str(error), text)
            continue
        begun = True
        for raw in session.events:
            try:
                action = action_of(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                source.bad.add(number, str(error), bytes(raw).decode("utf-8", "replace"))
                continue
            yield (
                number,
                {
                    "event_type": TYPES[action.type],
                    "user_id": str(session.session),
                    "item_id": str(action.aid),
                    "event_time": action.ts,
                },
            )
