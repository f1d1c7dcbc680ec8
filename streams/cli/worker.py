"""`freshet worker`: one worker in the foreground."""

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

import click
import uvloop

from streams.cli.diagnosis import explained
from streams.cli.logs import log_to_stderr, silence_libraries
from streams.failure import Failure
from streams.settings import Settings, read_settings, unknown


@click.command()
@click.option("--log-level", default="warning", show_default=True, type=click.Choice(["debug", "info", "warning", "error"]),
              help="How much libraries log to stderr; Freshet itself logs from info on.")  # fmt: skip
def worker(log_level: str) -> None:
    """Run one worker in the foreground; run more for more partitions.

    SIGTERM ends it cleanly. Anything that it cannot mend ends it with 1 and one line: start it again, and it goes on
    where it was, with every event counted once.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # until the loop runs, nothing is open
    settings = read_settings()
    if log_level != "debug":
        silence_libraries()
    log_to_stderr(log_level, settings)
    logging.getLogger("freshet").setLevel(min(logging.INFO, logging.getLogger().level))
    for variable, wrong in unknown(os.environ).items():
        logging.getLogger("freshet.worker").warning("%s: %s", variable, wrong)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signalled(settings))


async def _until_signalled(settings: Settings) -> NoReturn:
    from streams.worker import cancel_on_signals, run

    task = asyncio.create_task(run(settings))
    cancel_on_signals(task)
    code = 0
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Exception as error:
        logging.getLogger("freshet.worker").debug("ended by", exc_info=error)
        Failure(explained(error) or f"{type(error).__name__}: {error}").show()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # A task may not heed that it is cancelled, and the consumer may wait for a broker that is gone; nothing is left to be done
    # in them.
    os._exit(code)
