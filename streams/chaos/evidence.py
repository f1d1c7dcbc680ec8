"""The evidence: what a campaign leaves in its folder, so that the cause of a finding can be found."""

import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis

from recsys.keys import Keys
from recsys.sharding import ITEM_SHARDS
from streams.chaos.strikes import Strikes
from streams.chaos.verdict import Findings
from streams.records import Record

VALUE_BYTES = 1000
"""Of a record's value."""


def write_course(folder: Path, strikes: Strikes) -> None:
    """What happened, and when: `faults.jsonl`, in seconds after the time in `opened.txt`, `endings.jsonl`, `recovery.jsonl`."""
    _write_lines(folder / "faults.jsonl", strikes.done)
    _write_lines(folder / "endings.jsonl", strikes.fleet.endings)
    _write_lines(folder / "recovery.jsonl", [*strikes.recovery.done, *strikes.recovery.unsettled])
    (folder / "opened.txt").write_text(f"{strikes.opened:.3f}\n", encoding="ascii")


def write_findings(folder: Path, found: Findings, marks: dict[str, str | None]) -> None:
    """All findings in `findings.txt`, and the marks in `marks.json`."""
    (folder / "findings.txt").write_text("".join(f"{line}\n" for line in found.all), encoding="utf-8")
    (folder / "marks.json").write_text(json.dumps(marks, indent=1), encoding="utf-8")


def write_records(path: Path, records: Iterable[Record], names: Collection[str]) -> None:
    """Every record that names one of these items or users, as JSON lines."""
    needles = [json.dumps(name)[:-1].removeprefix('"anon:').encode() for name in names]
    _write_lines(
        path, (plain(record) for record in records if record.value and any(needle in record.value for needle in needles))
    )


def plain(record: Record) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "headers": {name: value.decode(errors="replace") for name, value in record.headers},
        "value": (record.value or b"")[:VALUE_BYTES].decode(errors="replace"),
    }


def stored_marks(client: "Redis", keys: Keys, partitions: int) -> dict[str, str | None]:
    """All marks as they are in Redis."""
    makers: list[tuple[Callable[[int], str], int]] = [
        (keys.user_mark, partitions),
        (keys.published, partitions),
        (keys.item_mark, ITEM_SHARDS),
    ]
    names = [make(number) for make, count in makers for number in range(count)]
    values: Any = client.mget(names)
    return {name: value and value.decode() for name, value in zip(names, values, strict=True)}


def _write_lines(path: Path, things: Iterable[Any]) -> None:
    with path.open("wb") as out:
        for thing in things:
            out.write(msgspec.json.encode(thing) + b"\n")
