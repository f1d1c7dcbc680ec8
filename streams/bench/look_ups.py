"""Look-ups beside the load: a reader in a process of its own. `python -m streams.bench.look_ups SECONDS < keys`"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from recsys.connection import open_client
from streams.bench.measured import LookUps
from streams.bench.timing import percentiles
from streams.settings import read_settings

EVERY_S = 0.01


@contextmanager
def reader(variables: Mapping[str, str], keys: Sequence[str], seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """A reader that looks for so long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.bench.look_ups", str(seconds)],
        env=os.environ | dict(variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdin is not None
            json.dump(keys, process.stdin)
            process.stdin.close()
            yield process
        finally:
            process.terminate()


def found(process: "subprocess.Popen[str]") -> LookUps:
    """What it found, once it has ended."""
    assert process.stdout is not None
    return LookUps(**json.loads(process.stdout.read()))


def main() -> None:
    keys, seconds = json.load(sys.stdin), float(sys.argv[1])
    times = []
    with open_client(read_settings().redis) as client:
        client.get(keys[0])
        begun = time.perf_counter()
        for n in range(round(seconds / EVERY_S)):
            due = begun + n * EVERY_S
            time.sleep(max(0.0, due - time.perf_counter()))
            client.get(keys[n % len(keys)])
            times.append((time.perf_counter() - due) * 1000)
    p50, p99, worst = percentiles(times, 50, 99)
    print(json.dumps({"count": len(times), "p50": p50, "p99": p99, "worst": worst}))


if __name__ == "__main__":
    main()
