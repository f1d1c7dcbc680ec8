"""The run of the demo: everything up, the shop open for a while, everything down, and the accounts made."""

import tempfile
from contextlib import ExitStack

from streams.demo.board import Board
from streams.demo.listener import Listener
from streams.demo.opening import OpenShop
from streams.demo.plan import Plan
from streams.demo.settling import exported, settle
from streams.demo.show import Show
from streams.demo.stopping import Stopping
from streams.demo.summary import Summary, summed_up
from streams.demo.worker import Worker
from streams.differences import compare
from streams.local.system import LocalSystem
from streams.recount import recount_topic
from streams.sender import Sender, send_all
from streams.settings import Settings
from streams.shop.catalogue import in_records
from streams.topics import EVENTS, ITEMS, RECOMMENDATIONS, create_missing

REFRESH_S = 0.25


def run(plan: Plan, show: Show, stopping: Stopping) -> Summary:
    """Runs the demo in a folder of its own, and leaves nothing behind."""
    board = Board()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="freshet-demo-"))
        with show.phase("starting Kafka and Redis"):
            system = stack.enter_context(LocalSystem(folder))
        # No row may be cut, so that every single pair can be compared.
        settings = Settings(broker=system.broker, redis=system.redis_url, neighbours=len(plan.catalogue.products) + 1)
        with show.phase("starting a worker"):
            create_missing(settings)
            variables = system.environment() | {"FRESHET_NEIGHBOURS": str(settings.neighbours), "TMPDIR": folder}
            worker = stack.enter_context(Worker(variables))
            worker.wait_ready()
        for line in invitation(plan, settings):
            show.say(line)
        listener = stack.enter_context(Listener(settings.brokers, settings.topic(RECOMMENDATIONS), board))
        send_all(settings.brokers, settings.topic(ITEMS), in_records(plan.catalogue))
        shop = stack.enter_context(OpenShop(plan, Sender(settings.brokers, settings.topic(EVENTS)), board))
        with stopping.open():
            watch(plan, board, worker, shop, show, stopping=stopping)
        seconds = board.elapsed
        shop.close()
        with show.phase("counting the topic once more"):
            marks = settle(settings, worker.check)
            worker.finish()
            listener.close()
            recount = recount_topic(settings.brokers, settings.topic(EVENTS), settings.rules, settings.secret)
            comparison = compare(recount, exported(settings))
    return summed_up(plan, board, seconds, marks, comparison)


def watch(plan: Plan, board: Board, worker: Worker, shop: OpenShop, show: Show, *, stopping: Stopping) -> None:
    """Shows what happens until it is over, or something went wrong."""
    try:
        while shop.open and not stopping.asked:
            picture = board.picture()
            if plan.seconds and picture.elapsed >= plan.seconds:
                return
            worker.check()
            show.refresh(picture)
            board.news.wait(REFRESH_S)
            board.news.clear()
    finally:
        show.close()


def invitation(plan: Plan, settings: Settings) -> list[str]:
    """What somebody at another terminal can do meanwhile."""
    event = f'{{"event_type":"view","user_id":"me","item_id":"{plan.catalogue.products[0].item_id}"}}'
    return [
        f"A shop with {len(plan.catalogue.products)} products opens: {plan.rate:g} events a second"
        + (f" for {plan.seconds:g} s" if plan.seconds else "")
        + ", Ctrl-C ends it. From another terminal:",
        f"  export FRESHET_BROKER={settings.broker} FRESHET_REDIS={settings.redis}",
        f"  echo '{event}' | freshet replay /dev/stdin --format jsonl",
        "  freshet recommend me",
        "",
    ]
