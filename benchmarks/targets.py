"""`make targets`: what version 0.1 must reach, on a real Kafka and Redis that it starts itself.

Prints for one worker: the rate of a replay of 100 000 events in the form of REES46, the latency at 500 events a second with the
time of a look-up beside it, and the memory over the whole Online Retail file (needs FRESHET_TEST_DATA).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.rees46_like import write
from benchmarks.timing import read_all
from recsys.connection import open_client
from recsys.keys import Keys
from streams.demo.worker import Worker
from streams.local import LocalSystem
from streams.local.kafka import STEADY_JVM
from streams.settings import PREFIX, Settings, read_settings

EVENTS = 100_000
RATE = 500
SECONDS = 30
SAMPLE_S = 0.5


def main() -> None:
    arguments = argparse.ArgumentParser(description="Measure what version 0.1 must reach.")
    arguments.add_argument("--runs", type=int, default=3, help="runs of the replay; the median is shown")
    runs = arguments.parse_args().runs
    table = Table("what", "measured", "must reach", title="Freshet, one worker, broker and Redis beside it")
    with tempfile.TemporaryDirectory() as folder, LocalSystem(Path(folder) / "system", jvm=STEADY_JVM) as system:
        rates = [replay_rate(system, Path(folder), run) for run in range(runs)]
        table.add_row(
            f"replay of {EVENTS:,} events in REES46's form, first to last published",
            f"{np.median(rates):,.0f} events/s (median of {runs}, {min(rates):,.0f} to {max(rates):,.0f})",
            "≥ 3,000",
        )
        latencies, lookups = latency(system)
        table.add_row(
            f"event appended → recommendation published, {RATE} events/s",
            f"p50 {np.percentile(latencies, 50):.0f} ms, p99 {np.percentile(latencies, 99):.0f} ms",
            "p99 < 150 ms",
        )
        table.add_row(
            "GET of a recommendation meanwhile",
            f"p50 {np.percentile(lookups, 50):.2f} ms, p99 {np.percentile(lookups, 99):.2f} ms",
            "< 1 ms",
        )
        table.add_row("worker's memory over the Online Retail replay", memory(system), "flat, < 300 MB")
    Console().print(table)


def say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


def variables(system: LocalSystem, name: str) -> dict[str, str]:
    return {**system.environment(), "FRESHET_TOPIC_PREFIX": f"{name}.", "FRESHET_KEY_PREFIX": f"{name}:"}


def freshet(environment: Mapping[str, str], *arguments: str) -> str:
    """Runs a command of Freshet and returns what it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    done = subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        env=inherited | dict(environment), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def replay_rate(system: LocalSystem, folder: Path, run: int) -> float:
    say(f"replay of {EVENTS:,} events, run {run + 1}")
    file = folder / "rees46.csv"
    if not file.exists():
        write(file, EVENTS)
    environment = variables(system, f"replay{run}")
    with Worker(environment) as worker:
        worker.wait_ready()
        freshet(environment, "replay", str(file), "--format", "rees46", "--wait")
    return read_all(read_settings(environment)).events_per_s


def latency(system: LocalSystem) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", list[float]]:
    """Latencies of all recommendations but those of the first seconds, and of look-ups at the same time, in ms."""
    say(f"{RATE} events/s for {SECONDS} s")
    environment = variables(system, "latency")
    settings = read_settings(environment)
    lookups: list[float] = []
    with Worker(environment) as worker:
        worker.wait_ready()
        freshet(environment, "simulate", "--rate", str(RATE), "--seconds", "5")
        done = threading.Event()
        reader = threading.Thread(target=look_up, args=(settings, done, lookups))
        reader.start()
        begun_ms = time.time() * 1000
        freshet(environment, "simulate", "--rate", str(RATE), "--seconds", str(SECONDS), "--seed", "2")
        time.sleep(2)
        done.set()
        reader.join()
    answered = read_all(settings)
    late = {key: at for key, at in answered.appended.items() if at >= begun_ms}
    return answered._replace(appended=late).latencies, lookups


def look_up(settings: Settings, done: threading.Event, times: list[float]) -> None:
    """Looks a recommendation up a hundred times a second, as an app would."""
    keys = Keys(settings.key_prefix)
    with open_client(settings.redis) as client:
        users = [key.decode().removeprefix(keys.recs("")) for key in client.scan_iter(keys.recs("*"), count=1000)]
        n = 0
        while not done.wait(0.01):
            begun = time.perf_counter()
            client.get(keys.recs(users[n % len(users)]))
            times.append((time.perf_counter() - begun) * 1000)
            n += 1


def memory(system: LocalSystem) -> str:
    """The worker's resident memory while it counts the whole file: at a quarter, at the end, and the most."""
    data = os.environ.get("FRESHET_TEST_DATA")
    if not data:
        return "not measured: FRESHET_TEST_DATA is not set"
    say("Online Retail, whole")
    environment = variables(system, "memory")
    samples: list[float] = []
    with Worker(environment) as worker:
        worker.wait_ready()
        process = psutil.Process(worker.process.pid)
        done = threading.Event()

        def sample() -> None:
            while not done.wait(SAMPLE_S):
                samples.append(process.memory_info().rss / 1e6)

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            printed = freshet(
                environment, "replay", str(Path(data) / "online_retail.csv.gz"), "--format", "online-retail", "--wait", "--json"
            )
        finally:
            done.set()
            sampler.join()
    events = json.loads(printed)["events"]
    quarter, half = samples[len(samples) // 4], samples[len(samples) // 2]
    return (
        f"{quarter:.0f} MB at a quarter, {half:.0f} at half, {samples[-1]:.0f} at the end, {max(samples):.0f} at most "
        f"({events:,} events)"
    )


if __name__ == "__main__":
    main()
