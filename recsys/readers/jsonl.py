"""`jsonl`: Freshet's own Event, one JSON object a line."""

from collections.abc import Iterator

import msgspec

from recsys.readers.source import Source


def events(source: Source) -> Iterator[tuple[int, msgspec.Raw]]:
    """Each line as it stands; what the contract says of an Event is judged by `recsys.events.decode`.

    An event without `event_time` happens when it is produced.
    """
    for number, line in source.lines():
        yield number, msgspec.Raw(line)
