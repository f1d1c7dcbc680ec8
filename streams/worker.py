"""The worker: connects everything, runs until it is told to stop or something fails, and ends in time."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import faust
from aiokafka import AIOKafkaProducer

from recsys.catalogue.catalogue import Catalogue
from recsys.connection import open_store
from recsys.customers.consent import Refusals
from recsys.engine import Engine
from recsys.generations import open_live
from recsys.keys import Keys
from recsys.layout import claim, claim_signer, layout_of
from streams import topics
from streams.app import build_app
from streams.catalogue import CatalogueStream
from streams.consent import ConsentStream
from streams.counting import Counting
from streams.eviction import warn_of_evictions
from streams.lease import Lease
from streams.outbox import Outbox, new_producer
from streams.publishing import Publishing
from streams.roles import WORKER, demand, demand_commands
from streams.seal import Seal
from streams.settings import Settings
from streams.users import UserStream
from streams.warmup import warm_up
from streams.watchdog import watch
from streams.withdrawal import Withdrawal

STOP_S = 9.0
"""After a signal a worker has 10 s."""
FINISH_S, DRAIN_S, STOP_APP_S, STOP_PRODUCER_S, STOP_CONSUMER_S, MOVE_BACK_S = 2.0, 1.0, 5.0, 1.0, 1.0, 5.0
"""How long each part may take to end."""
STOP_UNHEARD_S = 0.5
"""Instead of `STOP_APP_S`, where no broker is connected. The app would commit offsets and leave its group, and tries for ever;
a broker that is gone gives the partitions to others when it is back and the session is over, and they begin at the marks."""
YOUNG_OBJECTS = 100_000
"""After so many new objects the garbage collector looks for rings of them: a batch makes tens of thousands, and no ring."""
SWITCH_S = 0.001
"""How long the thread that ranks may wait for the one that counts before it goes on (Python's own: 5 ms)."""
SAY_S = 5.0
"""After so long a worker says that it compiles: to load what was compiled takes less."""
log = logging.getLogger("freshet.worker")


def say_ready(partitions: str) -> None:
    """The line on stdout by which a supervisor knows that a worker is ready."""
    print(f"freshet worker: ready, partitions {partitions}", flush=True)


async def run(
    settings: Settings,
    outbox_over: Callable[[AIOKafkaProducer], Outbox] = Outbox,
    when_ready: Callable[[str], None] = say_ready,
    catalogue_of: str | None = None,
) -> None:
    """Runs a worker until it is cancelled. Raises what ended it otherwise.

    `outbox_over` makes what writes to Kafka; `when_ready` is called once, with the partitions that it has, in words.
    `catalogue_of` is the prefix of a system whose workers keep the catalogue and the users: then this one only reads them.
    """
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(demand_commands, settings, WORKER)
        await asyncio.to_thread(demand, settings, WORKER)
        plain = await stack.enter_async_context(open_store(settings.redis))
        await asyncio.to_thread(topics.create_missing, settings)
        producer = new_producer(settings.brokers)
        await producer.start()
        # An idempotent producer waits for its broker for ever; what it still holds is written again after the next start.
        stack.push_async_callback(within, STOP_PRODUCER_S, producer.stop)
        outbox = outbox_over(producer)

        events = settings.topic(topics.EVENTS)
        store = await open_live(plain, settings.key_prefix)
        keys = store.keys
        partitions = await outbox.partitions(events)
        await claim(store, keys, layout_of(events, partitions, settings.rules))
        await claim_signer(store, keys, Seal.of(settings.secret, events, partitions).signers)
        catalogue = Catalogue(dict(settings.rules.rates))
        theirs = keys if catalogue_of is None else Keys(catalogue_of)
        refusals = Refusals()
        engine = Engine(store, keys, settings.rules, settings.retention_s, catalogue, partitions, theirs, refusals)
        rejected_partitions = await outbox.partitions(settings.topic(topics.REJECTED))
        counting = Counting(settings, engine, outbox, partitions, rejected_partitions)
        lease = Lease()
        publishing = Publishing(settings, keys, engine, store, outbox, lease)
        withdrawal = Withdrawal(settings, keys, refusals, engine, store, outbox, counting, publishing, lease)
        said = ConsentStream(
            settings, theirs, store, outbox, refusals, withdrawal, partitions, lambda: publishing.marks.turns
        )  # fmt: skip
        stack.push_async_callback(within, STOP_CONSUMER_S, said.close)
        await said.load()
        await compile_hot(settings)
        gc.freeze()  # what is loaded by now stays: collections need not look at it
        gc.set_threshold(YOUNG_OBJECTS, 20, 20)
        sys.setswitchinterval(SWITCH_S)

        app = build_app(settings, engine, counting, publishing, when_ready)
        count = asyncio.create_task(counting.run(app.consumer, publishing))
        background = [count] + [
            asyncio.create_task(coroutine)
            for coroutine in (
                publishing.run(),
                publishing.run_rounds(app.consumer),
                publishing.cold.run(),
                said.run(),
                store.watch(),
                lease.watch(),
                warn_of_evictions(settings.redis),
                watch(settings.brokers, events, publishing.marks.offsets, app.consumer),
                serve(app),
            )
        ]
        if settings.catalogue:
            stream = CatalogueStream(
                settings, theirs, catalogue, store, outbox, publishing, partitions, rejected_partitions,
                publishing.marks.offsets.keys() if catalogue_of is None else frozenset(),
            )  # fmt: skip
            background += [asyncio.create_task(stream.run()), asyncio.create_task(stream.run_rounds())]
        if catalogue_of is None:
            users = UserStream(settings, keys, store, outbox, partitions, rejected_partitions, publishing.marks.offsets.keys())
            background.append(asyncio.create_task(users.run()))
        try:
            done, _ = await asyncio.wait(background, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            # A batch that is broken off is counted by the next start; but a state that is looked at now would be half of it.
            await within(FINISH_S, counting.finish)
            count.cancel()
            if not await within(DRAIN_S, publishing.drain):
                await withdraw(producer, publishing)
            raise
        except Exception:
            # Perhaps it stood still, and knows only what it met then.
            await withdraw(producer, publishing)
            raise
        finally:
            log.info("stopping")
            for task in background:
                task.cancel()
            stop_s = STOP_APP_S if app.consumer.may_be_heard else STOP_UNHEARD_S
            await within(stop_s, app.stop, "the consumer (its broker may not answer)")


async def withdraw(producer: AIOKafkaProducer, publishing: Publishing) -> None:
    """Lets nothing more go out, and then has whoever owns the partitions publish once more what may have gone out late."""
    if not await within(STOP_PRODUCER_S, producer.stop):
        await within(STOP_PRODUCER_S, producer.client.close)
    await within(MOVE_BACK_S, publishing.marks.move_back)


async def compile_hot(settings: Settings) -> None:
    """Has the hot loops compiled or loaded, and says so where it takes long: after an installation."""
    compiling = asyncio.ensure_future(asyncio.to_thread(warm_up, settings.rules))
    _, unfinished = await asyncio.wait({compiling}, timeout=SAY_S)
    if unfinished:
        log.info("compiling (the first time a minute or two)")
    await compiling


async def within(seconds: float, stop: Callable[[], Awaitable[object]], what: str = "") -> bool:
    """Lets something end, but not for longer than `seconds`, and says whether it did; what goes wrong in it must not hide why
    the worker ends. What hangs is cancelled and left behind: a client may not heed even that."""
    ending = asyncio.ensure_future(stop())
    await asyncio.wait({ending}, timeout=seconds)
    if not ending.done():
        ending.cancel()
        log.info("%s did not end within %g s and is left behind", what or getattr(stop, "__qualname__", stop), seconds)
        return False
    if ending.cancelled():  # a client that is closed again after it was broken off meets what was cancelled with it
        return False
    error = ending.exception()
    if error is not None:
        log.info("%s while stopping%s", type(error).__name__, f": {error}" if str(error) else "")
    return error is None


def cancel_on_signals(task: "asyncio.Task[None]") -> None:
    """SIGTERM and SIGINT cancel `task`, once; whatever still hangs after that is left behind in time."""

    def cancel() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)
        task.cancel()
        last_resort = threading.Timer(STOP_S, os._exit, [0])
        last_resort.daemon = True
        last_resort.start()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, cancel)


async def serve(app: faust.App) -> None:
    """Runs the app until one of its services crashes, and raises why."""
    await app.start()
    await app._crashed.wait()
    raise app.crash_reason or RuntimeError("a service of the worker ended without a reason")
