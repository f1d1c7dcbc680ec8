"""`freshet up` and `freshet down`: a local Kafka and Redis that stay when the command has ended."""

import json
from pathlib import Path

import click
import platformdirs

from streams.cli.options import as_json
from streams.failure import Failure
from streams.local.errors import PortInUse
from streams.local.jars import exclusive
from streams.local.ports import free_port, taken
from streams.local.server import Server, remembered_port, running
from streams.local.system import LocalSystem

KAFKA_PORT = 9092
REDIS_PORT = 6379
PORT = click.IntRange(0, 65_535)


def default_directory() -> Path:
    return Path(platformdirs.user_data_dir("freshet")) / "local"


folder = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of their data; the user's data folder if not given.",
)


@click.command()
@click.option("--kafka-port", type=PORT, default=None, help=f"Port of Kafka, {KAFKA_PORT} if not given; 0: any free one.")
@click.option("--redis-port", type=PORT, default=None, help=f"Port of Redis, {REDIS_PORT} if not given; 0: any free one.")
@folder
@as_json
def up(kafka_port: int | None, redis_port: int | None, directory: Path | None, as_json: bool) -> None:
    """Start a local Kafka and Redis and leave them running.

    Returns when both answer. Their data stay in the folder; what already runs is left as it is, what has died is
    started again.
    """
    if kafka_port and kafka_port == redis_port:
        raise click.UsageError("--kafka-port and --redis-port must differ")
    directory = (directory or default_directory()).absolute()
    make(directory)
    with exclusive(directory / "lock"):
        system = LocalSystem(
            directory,
            port_of(directory / "kafka", kafka_port, KAFKA_PORT),
            port_of(directory / "redis", redis_port, REDIS_PORT),
        )
        for server, wanted in ((system.kafka, kafka_port), (system.redis, redis_port)):
            if server.pid is not None and wanted not in (None, 0, server.port):
                raise Failure(f"{server.name} of {directory} already runs on port {server.port}: freshet down first")
        started = start_missing(system)
    if as_json:
        click.echo(json.dumps(state(system, started)))
        return
    for server, address in ((system.kafka, system.broker), (system.redis, system.redis_url)):
        click.echo(f"{server.name} {'runs now' if server.name in started else 'was running already'}: {address}")
    click.echo("")
    for name, value in system.environment().items():
        click.echo(f"export {name}={value}")


@click.command()
@folder
@as_json
def down(directory: Path | None, as_json: bool) -> None:
    """Stop the local Kafka and Redis; their data stay."""
    directory = (directory or default_directory()).absolute()
    stopped: list[str] = []
    if directory.is_dir():
        with exclusive(directory / "lock"):
            system = LocalSystem(directory)
            stopped = [server.name for server in (system.redis, system.kafka) if server.stop()]
    if as_json:
        click.echo(json.dumps({"directory": str(directory), "stopped": [name.lower() for name in stopped]}))
    elif stopped:
        click.echo(f"{' and '.join(stopped)} stopped; the data stay in {directory}")
    else:
        click.echo(f"nothing runs in {directory}")


def make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{directory} cannot be made ({error.strerror}): choose another folder with --dir") from None


def port_of(directory: Path, wanted: int | None, default: int) -> int:
    """The port it runs on or ran on until it died, else the one that was asked for."""
    before = remembered_port(directory)
    if before is not None and (not wanted or running(directory)):
        return before
    if wanted is None:
        return default
    return wanted or free_port()


def start_missing(system: LocalSystem) -> list[str]:
    """Start what does not run, both at once; the names of these. If one fails, none of them is left running."""
    servers = (system.kafka, system.redis)
    missing = [server for server in servers if server.pid is None]
    for server in missing:
        if taken(server.port):
            raise port_failure(server)
    try:
        for server in missing:
            server.launch()
        for server in reversed(servers):
            server.wait_ready()
    except BaseException as error:
        for server in missing:
            server.abandon()
        if isinstance(error, PortInUse):
            raise port_failure(next(s for s in servers if s.name == error.name)) from None
        raise
    return [server.name for server in missing]


def port_failure(server: Server) -> Failure:
    return Failure(
        f"port {server.port} for {server.name} is in use by another program: "
        f"stop that, or choose another port with --{server.name.lower()}-port"
    )


def state(system: LocalSystem, started: list[str]) -> dict[str, object]:
    servers = {
        server.name.lower(): {"port": server.port, "pid": server.pid, "started": server.name in started}
        for server in (system.kafka, system.redis)
    }
    return {"broker": system.broker, "redis": system.redis_url, "directory": str(system.directory), "servers": servers}
