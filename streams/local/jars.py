"""Kafka's jars: fetched once into the user's cache, found there ever after."""

import fcntl
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from streams.local.errors import LocalError, MissingExtra

KAFKA = "4.1.1"
COORDINATES = (f"org.apache.kafka:kafka_2.13:{KAFKA}", "org.slf4j:slf4j-simple:1.7.36")
"""slf4j-simple of the version of Kafka's slf4j-api: another one silences every log."""

LIST = "jars.json"
DOWNLOADS = 4  # at a time
TIMEOUT_S = 30

Progress = Callable[[int, int], None]
"""Called with the number of jars that are there and their whole number; (0, 0) while the list is being worked out."""


def folder() -> Path:
    """Where the jars of this version are, or will be."""
    return Path(platformdirs.user_cache_dir("freshet")) / "kafka" / KAFKA


def to_stderr(done: int, total: int) -> None:
    """Progress for people: one line that is written over on a terminal, a few lines elsewhere."""
    text = f"fetching Kafka {KAFKA} (45 MB, once): " + (f"{done} of {total} jars" if total else "working out the list of jars")
    if sys.stderr.isatty():
        print(f"\r{text}\x1b[K", end="\n" if total and done == total else "", file=sys.stderr, flush=True)
    elif done in (0, total):
        print(text, file=sys.stderr, flush=True)


def kafka_jars(progress: Progress = to_stderr) -> Path:
    """The folder with Kafka's jars; fetches them if they are not there yet.

    Only the list that is written last makes a folder valid, and the folder gets its name after that: neither a broken
    download nor a second process that fetches at the same time can leave half a Kafka. Raises `LocalError`.
    """
    target = folder()
    if complete(target):
        return target
    with exclusive(target.with_name(f"{target.name}.lock")):
        if not complete(target):
            staging = target.with_name(f"{target.name}.new")
            shutil.rmtree(staging, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            try:
                fetch(staging, progress)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return target


def complete(target: Path) -> bool:
    """Are all jars of the list there, in full length?"""
    try:
        sizes: dict[str, int] = json.loads((target / LIST).read_bytes())
        return all((target / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def fetch(staging: Path, progress: Progress) -> None:
    """Resolve Kafka's coordinates and download every jar into the folder, with the list of them.

    The resolver alone, not jgo's environments: these would fetch a whole JDK only to sort jars into module paths.
    """
    try:
        from jgo.maven import MavenContext, PythonResolver
        from jgo.parse import Coordinate
    except ImportError:
        raise MissingExtra("jgo") from None
    repository = staging / "repository"
    repository.mkdir(parents=True)
    context = MavenContext(resolver=PythonResolver(), repo_cache=repository, local_repos=[], timeout=TIMEOUT_S)
    coordinates = [Coordinate(*text.split(":"), scope="compile") for text in COORDINATES]
    progress(0, 0)
    try:
        with refused_checksums():
            inputs, others = context.resolver.resolve([context.create_dependency(c) for c in coordinates])
            artifacts = [dependency.artifact for dependency in (*inputs, *others)]
            progress(0, len(artifacts))
            with ThreadPoolExecutor(DOWNLOADS) as pool:
                futures = [pool.submit(artifact.resolve) for artifact in artifacts]
                try:
                    for done, future in enumerate(as_completed(futures), 1):
                        future.result()
                        progress(done, len(artifacts))
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    except (OSError, RuntimeError, ValueError) as error:  # requests' errors are OSErrors
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise LocalError(
            f"Kafka's jars could not be fetched ({reason}): look at the network or the proxy settings and try again"
        ) from error
    sizes = {}
    for future in futures:
        jar: Path = future.result()
        jar.rename(staging / jar.name)
        sizes[jar.name] = (staging / jar.name).stat().st_size
    shutil.rmtree(repository)
    (staging / LIST).write_text(json.dumps(sizes, indent=0), encoding="utf-8")


class ChecksumRefusal(logging.Handler):
    """jgo only warns of a jar whose checksum is wrong; here that is the end."""

    def emit(self, record: logging.LogRecord) -> None:
        if "Checksum mismatch" in record.getMessage():
            raise RuntimeError(record.getMessage())


@contextmanager
def refused_checksums() -> Iterator[None]:
    logger = logging.getLogger("jgo")
    handler = ChecksumRefusal(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
