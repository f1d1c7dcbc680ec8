"""The campaign: a system under load, struck again and again; then calm, and the accounts."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from msgspec import Struct
from redis import Redis

from recsys.keys import Keys
from streams.app import group_id
from streams.chaos import evidence
from streams.chaos.copies import Copies
from streams.chaos.fleet import Fleet
from streams.chaos.load import PRODUCTS, Load
from streams.chaos.plan import CALM_EVERY, Fault
from streams.chaos.proxy import Proxy
from streams.chaos.recovery import Recovery
from streams.chaos.show import Show
from streams.chaos.strikes import Strikes
from streams.chaos.summary import Summary, by_kind, ended, spread, told
from streams.chaos.verdict import Findings, findings
from streams.chaos.watcher import Watcher
from streams.consent import AGAIN_S
from streams.demo.settling import NotSettled, exported, settle
from streams.differences import customer_differences, differences, forgotten_differences, refusal_differences
from streams.lag import behind, read_published, read_spans
from streams.local.ports import HOST
from streams.local.system import LocalSystem
from streams.records import read_topic
from streams.recount import Recount, recount_topic
from streams.refused import Refused, refused
from streams.settings import Settings, read_settings
from streams.topics import CUSTOMERS, EVENTS, RECOMMENDATIONS, REJECTED, USERS, create_missing

READY_S = 120.0
OPEN_S = 4.0
"""Of load before the first fault and after the last."""
BREATHE_S = 60.0
COPY_EVERY_S = 12.0
CATCH_UP_S = 300.0
"""An emptied Redis counts the whole topic again, on a machine that is perhaps busy with other things."""
FINISH_S = 60.0
WITHDRAWN_S = AGAIN_S + 10.0
"""What a worker left that ended at the wrong moment is taken back once more so long after a refusal or a take-over."""
POLL_S = 0.1


class Campaign(Struct, frozen=True, kw_only=True):
    """What is to be done."""

    seed: int
    rate: float
    """Events a second."""
    workers: int
    partitions: int
    faults: list[Fault]


class NotReady(RuntimeError):
    """The workers did not come up, before anything was struck."""


class Field:
    """The system that is struck, with everything that strikes at it and watches it."""

    def __init__(self, campaign: Campaign, folder: Path, stack: ExitStack, show: Show) -> None:
        with show.phase("starting Kafka and Redis"):
            self.system = stack.enter_context(LocalSystem(folder))
            self.proxy = stack.enter_context(Proxy(self.system.redis.port))
        # No row may be cut, so that every single pair can be compared.
        variables = self.system.environment() | {
            "FRESHET_PARTITIONS": str(campaign.partitions),
            "FRESHET_NEIGHBOURS": str(PRODUCTS + 100),
        }
        self.settings = read_settings(variables)
        self.client = stack.enter_context(Redis.from_url(self.settings.redis))
        create_missing(self.settings)
        self.recovery = Recovery()
        theirs = variables | {"FRESHET_REDIS": f"redis://{HOST}:{self.proxy.port}/0", "TMPDIR": str(folder)}
        with show.phase(f"starting {campaign.workers} workers"):
            self.fleet = stack.enter_context(
                Fleet(theirs, folder / "workers", campaign.workers, lambda ending: self.recovery.ended(ending.name, ending.at))
            )
            wait_ready(self.fleet)
        topic = self.settings.topic(RECOMMENDATIONS)
        self.watcher = stack.enter_context(Watcher(self.settings.brokers, topic, campaign.partitions, self.recovery.served))
        sent_to = self.settings.topic(EVENTS), self.settings.topic(USERS)
        self.load = stack.enter_context(Load(self.settings.brokers, *sent_to, campaign.seed, campaign.rate))
        self.copies = Copies(self.system.redis, folder / "copies")
        self.strikes = Strikes(self.system, self.client, self.proxy, self.fleet, self.copies, self.recovery)
        stack.callback(self.strikes.close)

    def check(self) -> None:
        """Raises what went wrong in one of the threads: that is a defect of the campaign, and no finding."""
        self.fleet.check()
        self.load.check()
        self.strikes.check()
        if self.watcher.failure:
            raise self.watcher.failure


def run(campaign: Campaign, folder: Path, show: Show) -> Summary:
    """Runs a campaign in an empty folder. Whatever happens, no process is left."""
    with ExitStack() as stack:
        field = Field(campaign, folder, stack, show)
        pause(field, OPEN_S)
        strike_all(field, campaign.faults, show)
        with show.phase("undoing the last faults"):
            field.strikes.wait()
        calm = time.monotonic()
        with show.phase("catching up"):
            pause(field, OPEN_S)
            field.load.finish()
            unsettling = come_to_rest(field)
            caught_up_s = None if unsettling else round(time.monotonic() - calm, 3)
        with show.phase("ending the workers"):
            field.fleet.finish()
            field.watcher.finish(FINISH_S)
        seconds = round(time.time() - field.strikes.opened, 3)
        evidence.write_course(folder, field.strikes)
        with show.phase("counting the topic once more"):
            recount, found = account(field, folder, unsettling)
    fleet, recovery = field.fleet, field.recovery
    return Summary(
        seed=campaign.seed,
        seconds=seconds,
        faults=by_kind(field.strikes.done),
        skipped=field.strikes.skipped,
        restarts=fleet.started - campaign.workers,
        endings=ended(fleet.endings),
        sent=field.load.sent,
        acknowledged=field.load.acknowledged,
        events=recount.records,
        recommendations=field.watcher.read,
        interactions=recount.interactions.total(),
        pairs=len(recount.pairs),
        users=len(recount.last),
        customers=len(recount.customers),
        rejected=len(recount.rejected),
        lost=found.lost,
        doubled=found.doubled,
        misknown=len(found.customers),
        stale=len(found.stale),
        caught_up_s=caught_up_s,
        takeover_s=spread(wait for wait in recovery.done if wait.takeover),
        recovery_s=spread(wait for wait in recovery.done if not wait.takeover),
        memory_bytes=fleet.memory_bytes,
        passed=not found.all,
        findings=told(found),
    )


def wait_ready(fleet: Fleet) -> None:
    """Returns when all workers are ready. Raises `NotReady`."""
    until = time.monotonic() + READY_S
    while not fleet.is_whole:
        fleet.check()
        if fleet.endings:
            said = fleet.endings[0].lines
            raise NotReady(f"a worker ended before anything was struck: {said[-1] if said else 'it said nothing'}")
        if time.monotonic() > until:
            raise NotReady(f"the workers were not ready after {READY_S:.0f} s")
        time.sleep(POLL_S)


def strike_all(field: Field, faults: list[Fault], show: Show) -> None:
    """Strikes with one fault after the other, and takes copies of Redis in between."""
    take_copy(field)
    for fault in faults:
        if fault.number % CALM_EVERY == 0:
            breathe(field)
        pause(field, fault.after_s)
        if not field.copies.taken or time.monotonic() - field.copies.taken[-1].at > COPY_EVERY_S:
            take_copy(field)
        strike = field.strikes.strike(fault)
        at = time.time() - field.strikes.opened
        show.fault(fault.number, at, strike.what if strike else f"{fault}: skipped, no worker is there")


def breathe(field: Field) -> None:
    """Returns when there are recommendations for every partition again, or it takes too long: then the faults go on."""
    now, until = time.time(), time.monotonic() + BREATHE_S
    while min(field.watcher.served_at.values()) < now and time.monotonic() < until:
        pause(field, POLL_S)


def take_copy(field: Field) -> None:
    """Takes a copy, if Redis is there and not full."""
    if field.strikes.redis_lock.acquire(blocking=False):
        try:
            field.copies.take(field.client)
        finally:
            field.strikes.redis_lock.release()


def pause(field: Field, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        field.check()
        time.sleep(min(left, POLL_S))


def come_to_rest(field: Field) -> list[str]:
    """Waits until everything was counted and published, and every worker is one of the group; else says what is not so."""
    try:
        settle(field.settings, field.check, CATCH_UP_S)
    except NotSettled as error:
        keys, topic = Keys(field.settings.key_prefix), field.settings.topic(EVENTS)
        spans = read_spans(field.settings.brokers, topic)
        published = read_published(field.client, keys, spans)
        lag = ", ".join(f"{p}: {behind(span, published[p])} after {published[p]}" for p, span in spans.items())
        said = [f"{member.name}: {list(member.worker.log)[-1:]}" for member in field.fleet.members()]
        return [f"{error} (by partition: {lag}); the workers say {'; '.join(said)}"]
    until = time.monotonic() + CATCH_UP_S
    while not (field.fleet.is_whole and grouped(field.settings) == len(field.fleet.members())):
        if time.monotonic() > until:
            there = [member.name for member in field.fleet.members() if member.is_there]
            return [f"{grouped(field.settings)} workers are in the group; ready are {', '.join(there) or 'none'}"]
        field.check()
        time.sleep(1.0)
    until = time.monotonic() + WITHDRAWN_S
    while left_of_refusers(field):
        if time.monotonic() > until:
            break  # the accounts say what it is
        field.check()
        time.sleep(1.0)
    return []


def left_of_refusers(field: Field) -> bool:
    """Whether something of those who refuse is still to be taken back."""
    refusing = refusing_now(field)
    told = personal(field, refusing, customers_told(field.settings))
    return bool(told) or any(customers_of(field, refusing.analyse).values())


def refusing_now(field: Field) -> Refused:
    """Who refuses, by the whole topic of users."""
    return refused(record for _, record in read_topic(field.settings.brokers, field.settings.topic(USERS)))


def personal(field: Field, refusing: Refused, told: Mapping[str, bytes | None]) -> list[str]:
    """What these users were told or recommended in spite of it, a line each; `told` is the newest of each customer."""
    kept = stored(field.client, Keys(field.settings.key_prefix).recs, refusing.personalise)
    recommended = {user: newest.value for user, newest in field.watcher.newest.items()}
    return list(refusal_differences(refusing, kept, recommended, told))


def customers_told(settings: Settings) -> dict[str, bytes | None]:
    """The newest record of each customer on the topic."""
    return {(record.key or b"").decode(): record.value for _, record in read_topic(settings.brokers, settings.topic(CUSTOMERS))}


def customers_of(field: Field, users: Iterable[str]) -> Mapping[str, bytes | None]:
    """What Redis tells of each as a customer."""
    return stored(field.client, Keys(field.settings.key_prefix).customer, users)


def grouped(settings: Settings) -> int:
    """How many workers the group has."""
    group = group_id(settings)
    with KafkaAdminClient(**settings.brokers.connection()) as admin:
        return len(admin.describe_groups([group])[group]["members"])


def account(field: Field, folder: Path, unsettling: list[str]) -> tuple[Recount, Findings]:
    """The recount of the whole topic, and everything that is not as it should be."""
    settings, keys = field.settings, Keys(field.settings.key_prefix)
    topic = settings.topic(EVENTS)
    recount = recount_topic(settings.brokers, topic, settings.rules, settings.secret)
    wrong = list(differences(recount, exported(settings)))
    refusing = refusing_now(field)
    customers = customers_of(field, recount.customers.keys() | recount.forgotten)
    recommended, told_last = stored(field.client, keys.recs, recount.forgotten), customers_told(settings)
    found = findings(
        wrong,
        chain(
            customer_differences(recount, customers, refusing),
            personal(field, refusing, told_last),
            forgotten_differences(recount, recommended, told_last),
        ),
        recount.last,
        field.watcher.newest,
        stored(field.client, keys.recs, recount.last),
        recount.rejected,
        (record for _, record in read_topic(settings.brokers, settings.topic(REJECTED))),
        field.fleet.endings,
        [*field.recovery.done, *field.recovery.unsettled],
        unsettling,
    )
    if found.all:
        evidence.write_findings(folder, found, evidence.stored_marks(field.client, keys, recount.partitions))
        items, users = {each.item_id for each in wrong}, {line.partition(": ")[0] for line in found.stale}
        for name, names in ((EVENTS, items | users), (RECOMMENDATIONS, users)) if items | users else ():
            records = (record for _, record in read_topic(settings.brokers, settings.topic(name)))
            evidence.write_records(folder / f"{name}.jsonl", records, names)
    return recount, found


def stored(client: "Redis", key: Callable[[str], str], found: Iterable[str]) -> Mapping[str, bytes | None]:
    """By user, what Redis has under the user's key."""
    users = list(found)
    values: Any = client.mget([key(user) for user in users]) if users else []
    return dict(zip(users, values, strict=True))
