"""The long run: a million hostile records through a worker's counting in memory, and many through a real Kafka and worker.

Prints what became of them; ends with 1 if a record was neither counted nor rejected with a reason, if a count differs from the
recount, or if the worker ended. A round is repeated alone with `--seed` as printed, `--inputs` of one round and `--sent 0`.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from siege import besiege, prepare
from trial import Outcomes, trial
from workers import Workers

from streams.local import LocalSystem
from streams.progress import Progress
from streams.settings import PREFIX, read_settings

ROUND = 5_000
"""Records of one log in memory."""
SHOWN = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="records in memory (default: %(default)s)")
    parser.add_argument("--sent", type=int, default=200_000, help="records through Kafka (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round (default: %(default)s)")
    arguments = parser.parse_args()
    parts = {}
    if arguments.inputs:
        parts["in memory"] = in_memory(arguments.seed, arguments.inputs)
    if arguments.sent:
        parts["through Kafka and a worker"] = through_servers(arguments.seed, arguments.sent)
    table = Table("", *(name.replace("_", " ") for name in Outcomes._fields), title=f"hostile records, seed {arguments.seed}")
    for name, outcomes in parts.items():
        table.add_row(name, *(f"{number:,}" for number in outcomes[:-1]), str(len(outcomes.differences)))
    Console().print(table)
    differences = [difference for outcomes in parts.values() for difference in outcomes.differences]
    for difference in differences[:SHOWN]:
        print(difference)
    sys.exit(1 if differences else 0)


def in_memory(seed: int, inputs: int) -> Outcomes:
    """Round after round, each with the next seed."""
    total = Outcomes(0, 0, 0, 0, 0, 0, [])
    with Progress("counting in memory", "records") as progress:
        for first in range(0, inputs, ROUND):
            number = seed + first // ROUND
            found = trial(number, min(ROUND, inputs - first))
            named = [f"seed {number}: {difference}" for difference in found.differences]
            sums = [int(a) + int(b) for a, b in zip(total[:-1], found[:-1], strict=True)]
            total = Outcomes._make((*sums, [*total.differences, *named]))
            progress.show(total.inputs / inputs, total.inputs)
    return total


def through_servers(seed: int, sent: int) -> Outcomes:
    """One long topic on a Kafka, a Redis and with a worker of its own."""
    with tempfile.TemporaryDirectory() as folder, LocalSystem(Path(folder) / "system") as system:
        own = {"FRESHET_NEIGHBOURS": "10000", **system.environment()}
        environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | own
        settings = read_settings(own)
        prepare(settings)
        with Workers(environ, Path(folder)).supervised() as workers, Progress("sending", "records") as progress:
            worker = workers.start().wait_ready()
            outcomes = besiege(settings, worker, seed, sent, progress.show)
            if worker.terminate() != 0:
                outcomes.differences.append(f"the worker did not end well: {worker.last_line}")
    return outcomes


if __name__ == "__main__":
    main()
