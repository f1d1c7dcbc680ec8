"""The verdict: what a campaign found, held against what the contract promises. Pure: facts in, findings out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from streams.chaos.fleet import Ending, misbehaviour
from streams.chaos.recovery import Wait
from streams.chaos.watcher import Newest
from streams.differences import Difference
from streams.records import Record
from streams.recount import Last

HUNG_S = 100.0
"""A worker that neither ends nor serves its partitions for so long has hung: its own watchdog waits for 60 s."""


class Kept(Struct):
    """What matters here of a recommendation in Redis."""

    generated_at: datetime
    event_id: str | None = None


class Findings(Struct, frozen=True, kw_only=True):
    """Everything that is not as it was promised, each in a line."""

    lost: int
    """How much counts are too low, together."""
    doubled: int
    """How much they are too high."""
    counts: list[str]
    customers: list[str]
    """Customers of whom something else is known than what they did."""
    stale: list[str]
    """Users whose newest recommendation does not cover their last interaction."""
    rejected: list[str]
    """Bad records that are not on `rejected`, and others that are."""
    workers: list[str]
    """Workers that hung, or ended otherwise than they should."""

    @property
    def all(self) -> list[str]:
        return [*self.counts, *self.customers, *self.stale, *self.rejected, *self.workers]


def findings(
    differences: Sequence[Difference],
    customers: Iterable[str],
    last: Mapping[str, Last],
    newest: Mapping[str, Newest],
    kept: Mapping[str, bytes | None],
    bad: Iterable[Record],
    set_aside: Iterable[Record],
    endings: Iterable[Ending],
    waits: Iterable[Wait],
    unsettling: Sequence[str] = (),
) -> Findings:
    """The findings; `unsettling` are lines on what did not come to rest."""
    return Findings(
        lost=sum(max(0, each.recounted - (each.counted or 0)) for each in differences),
        doubled=sum(max(0, (each.counted or 0) - each.recounted) for each in differences),
        counts=[str(each) for each in differences],
        customers=list(customers),
        stale=stale(last, newest, kept),
        rejected=misplaced(bad, set_aside),
        workers=[
            *(line for ending in endings if (line := misbehaviour(ending))),
            *(line for wait in waits if (line := hanging(wait))),
            *unsettling,
        ],
    )


def stale(last: Mapping[str, Last], newest: Mapping[str, Newest], kept: Mapping[str, bytes | None]) -> list[str]:
    """Users whose last interaction is not covered by their last record on the topic, or not by what is in Redis.

    Redis' recommendation names the event of a record that is not before the last interaction's, and was made after it came.
    """
    found = []
    for user, (partition, offset, event_ids, timestamps) in sorted(last.items()):
        wanted = f"the last interaction is at {partition}/{offset} ({event_ids[0]})"
        record, value = newest.get(user), kept.get(user)
        if record is None:
            found.append(f"{user}: {wanted}, and there is no recommendation on the topic")
        elif record.source is None or record.source[0] != partition or record.source[1] < offset:
            covers = "/".join(map(str, record.source or ()))
            found.append(
                f"{user}: {wanted}, the recommendation at {record.partition}/{record.offset} on the topic, "
                f"written at {record.at_ms}, covers {covers or 'nothing'}"
            )
        if value is None:
            found.append(f"{user}: {wanted}, and there is no recommendation in Redis")
            continue
        said = msgspec.json.decode(value, type=Kept)
        made_ms = said.generated_at.timestamp() * 1000
        if not any(said.event_id == name and made_ms >= ms for name, ms in zip(event_ids, timestamps, strict=True)):
            found.append(f"{user}: {wanted}, the recommendation in Redis, made at {made_ms:.0f}, covers {said.event_id}")
    return found


def misplaced(bad: Iterable[Record], set_aside: Iterable[Record]) -> list[str]:
    """Bad records that are not on `rejected`, unchanged and with their place; and what else is there."""
    wrong = {(record.partition, record.offset): record.value for record in bad}
    there: set[tuple[int, int]] = set()
    found = []
    for record in set_aside:
        headers = dict(record.headers)
        place = int(headers.get("partition", b"-1")), int(headers.get("offset", b"-1"))
        if place not in wrong:
            found.append(f"rejected {record.partition}/{record.offset}: the record at {place[0]}/{place[1]} is not bad")
        elif (record.value or None) != (wrong[place] or None):
            found.append(f"rejected {record.partition}/{record.offset}: not the bytes of the record at {place[0]}/{place[1]}")
        else:
            there.add(place)
    found += [
        f"the bad record at {partition}/{offset} is not on rejected" for partition, offset in sorted(wrong.keys() - there)
    ]
    return found


def hanging(wait: Wait) -> str | None:
    """What is wrong with how a worker answered to a fault: it took too long, or is not over at the end."""
    if wait.seconds is not None and (wait.takeover or wait.after_lift_s <= HUNG_S):
        return None
    over = "to the end" if wait.seconds is None else f"for {wait.after_lift_s:.0f} s"
    listed = ", ".join(map(str, sorted(wait.partitions)))
    return f"fault {wait.fault} ({wait.kind}): {wait.worker} did not end, and its partitions {listed} were not served {over}"
