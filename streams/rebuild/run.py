"""One rebuild from start to end: build, compare, check, catch up, switch, publish."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from kafka.admin import KafkaAdminClient
from kafka.errors import UnknownTopicOrPartitionError
from msgspec import Struct
from msgspec.structs import replace
from redis import Redis

from recsys.connection import is_cluster
from recsys.damage import DamagedState
from recsys.engine import LostPartition
from recsys.generations import StateReplaced, aside, live_name, named
from recsys.keys import Keys
from recsys.layout import FORMAT, OTHER_SIGNER, Layout, LayoutChanged
from streams.app import group_id
from streams.differences import Comparison
from streams.failure import Failure
from streams.lag import read_spans
from streams.lease import Overslept
from streams.live import live_keys, read_live
from streams.positions import LostRecords
from streams.progress import Progress
from streams.rebuild.build import NEARLY, build, past_of, read_marks, uncounted
from streams.rebuild.building import Building, begin, check_same, read_building
from streams.rebuild.check import check
from streams.rebuild.comparison import Totals, losses, totals
from streams.rebuild.dropping import drop_one
from streams.rebuild.publication import publish
from streams.rebuild.switch import Switched, switch
from streams.seal import Seal
from streams.settings import Settings, without_password
from streams.topics import ANSWER_MS, EVENTS
from streams.watchdog import NoProgress

T = TypeVar("T")


class Compared(Struct, frozen=True):
    """The two generations beside each other, and the new one beside a recount."""

    live: str
    new: str
    totals: dict[str, Totals]
    """By generation; the live one's interactions and what else its marks say, when the build was as far."""
    missing: str
    """What the new one lacks, in words."""
    recount: Comparison | None
    """None: it was not asked for."""


class Taken(Struct, frozen=True):
    """What it came to when a generation took the place of another."""

    live: str
    before: str
    moved: int
    """Public keys that were renamed."""
    seconds: float
    published: int
    """Recommendations written to the topic."""


def refuse_cluster(settings: Settings) -> None:
    """Raises `Failure` where the keys are spread over several servers: there nothing is renamed in one step."""
    if is_cluster(settings.redis):
        raise Failure(
            f"FRESHET_REDIS is {without_password(settings.redis)!r}: on a cluster no step can switch all readers. Start "
            "workers with another FRESHET_KEY_PREFIX: their state fills itself from the log; then point the readers to it"
        )


def finish_publication(settings: Settings, client: Redis) -> None:
    """Publishes what a rebuild that was interrupted after its switch has not."""
    if client.exists(Keys(settings.key_prefix).unpublished):
        publish(settings, client)


def open_building(settings: Settings, client: Redis, *, anew: bool) -> Building:
    """The generation to build: an unfinished one, or a new one. Raises `Failure` where our secret is not the workers'."""
    signer: Any = client.get(live_keys(client, settings.key_prefix).signer)
    if signer is not None and signer not in Seal.of(settings.secret, "", 0).signers:
        raise Failure(OTHER_SIGNER)
    unfinished = read_building(client, settings.key_prefix)
    try:
        spans = read_spans(settings.brokers, settings.topic(EVENTS))
    except UnknownTopicOrPartitionError as error:
        raise Failure(f"{error}, so there is nothing to build from: see FRESHET_TOPIC_PREFIX and freshet doctor") from error
    if unfinished and not anew:
        check_same(unfinished, settings, len(spans))
        return unfinished
    building = begin(client, settings, spans)
    if unfinished:
        drop_one(client, settings.key_prefix, unfinished.generation)
    return building


def build_and_compare(settings: Settings, client: Redis, building: Building, *, recounted: bool) -> Compared:
    """Builds the generation, and holds it against the live one and, where `recounted`, against the topic."""
    prefix = settings.key_prefix
    live, new = read_live(client, prefix), building.generation
    of_live, of_new = named(prefix, live), building.keys(prefix)
    layout = read_layout(client, of_live)
    partitions = layout.partitions if layout else building.partitions
    past = past_of(settings, client, building, layout, of_live)
    live_marks = building_failures(lambda: build(settings, client, building, past, (of_live, partitions)))
    new_marks = read_marks(client, of_new, building.partitions)
    readable = layout is None or layout.format == FORMAT
    with Progress("comparing", "rows") as progress:
        of_both = {
            live: totals(client, of_live, live_marks.values(), lambda rows: progress.show(None, rows), readable=readable),
            new: totals(client, of_new, new_marks.values(), lambda rows: progress.show(None, rows)),
        }
    has_counted = any(mark.version for mark in live_marks.values())
    return Compared(
        live=live,
        new=new,
        totals=of_both,
        missing=losses(building.begins, of_both[live].interactions, of_both[new].interactions) if has_counted else "",
        recount=check(settings, client, building, new_marks) if recounted else None,
    )


def catch_up(settings: Settings, client: Redis, building: Building) -> None:
    """Counts what has come since the build, if it is more than a moment's work for the workers."""
    marks = read_marks(client, building.keys(settings.key_prefix), building.partitions)
    if uncounted(read_spans(settings.brokers, building.topic), marks) > NEARLY:
        live = named(settings.key_prefix, read_live(client, settings.key_prefix))
        past = past_of(settings, client, building, read_layout(client, live), live)
        building_failures(lambda: build(settings, client, building, past, (live, building.partitions)))


def take_over(settings: Settings, client: Redis, compared: Compared) -> Taken:
    """The new generation takes the live one's place."""
    layout = read_layout(client, named(settings.key_prefix, compared.live))
    partitions = layout.partitions if layout else 0
    done = switch(
        client, settings.key_prefix, compared.live, compared.new, partitions, leave_none=bool(compared.missing)
    )  # fmt: skip
    forget_group(settings, compared.new)
    return taken(settings, client, compared.new, compared.live, done)


def forget_group(settings: Settings, generation: str) -> None:
    """Deletes the consumer group of the build, whose lag would only grow from now on; one that still has members stays."""
    beside = replace(settings, key_prefix=aside(settings.key_prefix, generation))
    with KafkaAdminClient(**settings.brokers.connection(), bootstrap_timeout_ms=ANSWER_MS) as admin:
        admin.delete_groups([group_id(beside)])


def go_back(settings: Settings, client: Redis) -> Taken:
    """The generation that was live before takes the place of the live one. Raises `Failure` if it cannot be gone on with."""
    prefix = settings.key_prefix
    stored: Any = client.get(Keys(prefix).before)
    live = read_live(client, prefix)
    before = live_name(stored)
    layout = read_layout(client, named(prefix, before))
    if stored is None or layout is None:
        raise Failure(f"there is no generation to go back to under {prefix!r}: {live} is live, and no other is kept")
    topic, partitions = settings.topic(EVENTS), len(read_spans(settings.brokers, settings.topic(EVENTS)))
    if (layout.topic, layout.partitions) != (topic, partitions):
        raise Failure(
            f"generation {before} was built from {layout.topic} with {layout.partitions} partitions, {topic} has {partitions}: "
            "there is no way back to it. `freshet rebuild` builds a new one, `freshet rebuild --drop` frees the memory"
        )
    marks = read_marks(client, named(prefix, before), partitions)
    spans = read_spans(settings.brokers, topic)
    gone = [str(number) for number, span in spans.items() if marks[number].version and span.begin > marks[number].offset + 1]
    if gone:
        raise Failure(
            f"Kafka no longer holds what came after generation {before} counted last (partitions {', '.join(gone)} of "
            f"{topic}): there is no way back to it. `freshet rebuild` builds a new one, `freshet rebuild --drop` frees the "
            "memory"
        )
    done = switch(client, prefix, live, before, partitions, leave_none=False)
    return taken(settings, client, before, live, done)


def taken(settings: Settings, client: Redis, live: str, before: str, done: Switched) -> Taken:
    published = publish(settings, client)
    return Taken(live=live, before=before, moved=done.moved, seconds=round(done.seconds, 3), published=published)


def read_layout(client: Redis, keys: Keys) -> Layout | None:
    stored: Any = client.get(keys.state)
    return msgspec.json.decode(stored, type=Layout) if stored else None


def building_failures(work: Callable[[], T]) -> T:
    """What stops a build, as one line."""
    try:
        return work()
    except (Overslept, NoProgress, LostPartition, StateReplaced) as error:
        raise Failure(f"the build was interrupted ({error}): run freshet rebuild again, it goes on where it was") from error
    except (LostRecords, LayoutChanged, DamagedState) as error:
        raise Failure(f"the new generation cannot be built further ({error}). Begin it anew: freshet rebuild --anew") from error
