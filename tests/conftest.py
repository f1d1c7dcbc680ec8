"""What tests share: one local Kafka and Redis a session, a name space for each test, the folder of real data."""

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from streams.local import LocalSystem
from streams.local.cluster import LocalCluster
from streams.settings import PREFIX, Settings, read_settings

DATA = "FRESHET_TEST_DATA"
OTHERS = ("aiokafka", "faust", "kafka", "mode", "venusian")
"""Packages whose deprecation warnings are theirs to act upon; all other warnings are errors."""

settings.register_profile("beside others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beside others")  # how long an example takes says what else runs on the machine


def pytest_configure(config: pytest.Config) -> None:
    for package in OTHERS:
        for kind in ("DeprecationWarning", "PendingDeprecationWarning"):
            config.addinivalue_line("filterwarnings", f"ignore::{kind}:{package}")
    # kafka-python reads its schemas so; half of the warnings name importlib itself as their place.
    config.addinivalue_line("filterwarnings", "ignore:(open|read)_text is deprecated:DeprecationWarning")


class ClosedWhenDropped(socket.socket):
    """A socket that nobody is warned of who drops it without closing it."""

    def __del__(self) -> None:
        self.close()


@pytest.fixture(scope="session", autouse=True)
def closed_sockets() -> Iterator[None]:
    """kafka-python (3.0.12) drops sockets that it does not close, where no connection came of one or the client was closed
    while it connected; the warning fails whichever test runs then.

    `test_a_refused_connection_leaves_no_socket` fails without this.
    """
    from kafka.net.inet import KafkaNetSocket  # importing it warns, and only tests are spared that

    def made(_: Any, family: int, kind: int, protocol: int) -> socket.socket:
        return ClosedWhenDropped(family, kind, protocol)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KafkaNetSocket, "socket", made)
        yield


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A real Kafka and a real Redis, started by the first test that wants them, shared by all.

    A test may kill and restart them: they come back on the same ports, and `namespace` starts what a test left dead.
    """
    with LocalSystem(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture(scope="session")
def broker(system: LocalSystem) -> str:
    """The address of Kafka, as FRESHET_BROKER takes it."""
    return system.broker


@pytest.fixture(scope="session")
def redis_url(system: LocalSystem) -> str:
    """The address of Redis, as FRESHET_REDIS takes it."""
    return system.redis_url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A real Redis Cluster, started by the first test that wants it, shared by all. A test may kill and restart its nodes."""
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def redis_kind(request: pytest.FixtureRequest) -> str:
    """Where this test keeps its state: `single`, or `cluster` as the indirect parameter of a test that runs on a cluster."""
    return str(getattr(request, "param", "single"))


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def key_prefix() -> str:
    """A prefix for Redis keys that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}:"


@pytest.fixture
def variables(
    request: pytest.FixtureRequest, system: LocalSystem, redis_kind: str, topic_prefix: str, key_prefix: str
) -> dict[str, str]:
    """The FRESHET_* variables of this test's own topics and keys on the shared servers."""
    for server in (system.redis, system.kafka):
        if server.pid is None:
            server.start()
    prefixes = {"FRESHET_TOPIC_PREFIX": topic_prefix, "FRESHET_KEY_PREFIX": key_prefix}
    if redis_kind == "cluster":
        cluster: LocalCluster = request.getfixturevalue("cluster")
        cluster.start()
        return {**system.environment(), **prefixes, "FRESHET_REDIS": cluster.url}
    return {**system.environment(), **prefixes}


@pytest.fixture
def namespace(variables: dict[str, str]) -> Settings:
    """Settings with this test's own topics and keys on the shared servers."""
    return read_settings(variables)


@pytest.fixture
def environ(variables: dict[str, str]) -> dict[str, str]:
    """The environment for a process that works in this test's name space; what the caller has set stays out."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}, **variables}


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that FRESHET_TEST_DATA names; skips a test if it is not set, fails it if it is wrong."""
    value = os.environ.get(DATA)
    if not value:
        pytest.skip(f"{DATA} is not set: it names the folder with the real data sets")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"{DATA} is {value!r}, which is not a folder")
    return folder
