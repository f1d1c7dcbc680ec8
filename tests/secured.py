"""A Kafka and a Redis as a shop has them: TLS, users with passwords, and rights."""

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from certificates import Authority, Signed
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from redis import Redis

from streams.local.kafka import local_kafka
from streams.local.ports import HOST, free_port
from streams.local.redis import local_redis
from streams.roles import ROLES, Right, Role
from streams.settings import PREFIX, Settings, read_settings

DOC = Path(__file__).parents[1] / "docs" / "security.md"

PASSWORDS = {f"freshet-{role.name}": f"Kafka's-{role.name}\\secret%40" for role in ROLES}
"""Of Kafka's users; with all that a shell, a URL or a `repr` would change."""
PLAIN = ("plain-user", "plain-secret-1")
REDIS_PASSWORD = "redis@s/ecret:1?#"
REDIS_QUOTED = "redis%40s%2Fecret%3A1%3F%23"
SECRETS = [*PASSWORDS.values(), PLAIN[1], REDIS_PASSWORD, REDIS_QUOTED]

LISTENERS = """\
listeners=PLAINTEXT://{host}:{open},SASL_SSL://{host}:{sasl_ssl},SSL://{host}:{ssl},SASL_PLAINTEXT://{host}:{sasl},\
CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{open},SASL_SSL://{host}:{sasl_ssl},SSL://{host}:{ssl},SASL_PLAINTEXT://{host}:{sasl}
controller.quorum.voters=1@{host}:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=([^,]*).*$/$1/,DEFAULT
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{plain}="{password}";
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
"""Whoever comes through the open port is nobody by name, and may everything: the test itself."""


class SecuredKafka:
    """A broker with a port for each protocol: `ports` says which. It may be used as a context manager."""

    def __init__(self, directory: Path, authority: Authority, users: dict[str, str], plain: tuple[str, str]) -> None:
        names = ("open", "sasl_ssl", "ssl", "sasl", "controller")
        self.ports = {name: free_port() for name in names}
        self.users = users
        lines = LISTENERS.format(
            host=HOST, ca=authority.ca, keystore=authority.sign("broker").both, plain=plain[0], password=plain[1], **self.ports
        )
        self.server = local_kafka(directory, self.ports["open"], properties=lines, users=users)

    def admin(self) -> KafkaAdminClient:
        """As one who may everything."""
        return KafkaAdminClient(bootstrap_servers=f"{HOST}:{self.ports['open']}")

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.server.stop()


class SecuredRedis:
    """A Redis whose users and rights are set with `admin`, behind TLS at `port`: the servers of the wheels have none."""

    def __init__(self, directory: Path, authority: Authority, password: str) -> None:
        self.password = password
        self.server = local_redis(directory, free_port(), lines=f"requirepass {password}\n")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority.sign("redis").both)
        self._proxy = TlsProxy(context, self.server.port)
        self.port = self._proxy.port

    def admin(self) -> "Redis":
        """As one who may everything."""
        return Redis(host=HOST, port=self.server.port, password=self.password)

    def __enter__(self) -> Self:
        self.server.start()
        self._proxy.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._proxy.stop()
        self.server.stop()


class TlsProxy:
    """Takes TLS connections at `port` and hands their bytes to a plain server."""

    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        self.port = free_port()
        self._context = context
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tls-proxy", daemon=True)
        self._connections: set[asyncio.Task[Any]] = set()
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop.set_exception_handler(lambda *_: None)  # clients that are refused: the tests look at what these say
        server = await asyncio.start_server(self._take, HOST, self.port, ssl=self._context)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._connections:
            task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            inner_reader, inner_writer = await asyncio.open_connection(HOST, self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, inner_writer))
                both.create_task(_copy(inner_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one of the two ends has gone: so does the other
    finally:
        writer.close()


class Shop(NamedTuple):
    """The secured servers, and the lines of the documentation that give rights on them."""

    kafka: SecuredKafka
    redis: SecuredRedis
    authority: Authority
    stranger: Authority
    client: Signed

    def variables(self, role: Role, **changes: str) -> dict[str, str]:
        """The FRESHET_* of a program of this role."""
        user = f"freshet-{role.name}"
        address = f"rediss://{user}:{REDIS_QUOTED}@{HOST}:{self.redis.port}/0?ssl_ca_certs={self.authority.ca}"
        return {
            "FRESHET_BROKER": f"kafka://{HOST}:{self.kafka.ports['sasl_ssl']}",
            "FRESHET_KAFKA_SECURITY": "sasl_ssl",
            "FRESHET_KAFKA_USER": user,
            "FRESHET_KAFKA_PASSWORD": PASSWORDS[user],
            "FRESHET_KAFKA_CA": str(self.authority.ca),
            "FRESHET_REDIS": address,
        } | changes

    def settings(self, role: Role, **changes: str) -> Settings:
        return read_settings(self.variables(role, **changes))

    def environ(self, role: Role, **changes: str) -> dict[str, str]:
        """The whole environment of such a program."""
        return {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)} | self.variables(role, **changes)

    @contextmanager
    def without(self, right: Right, role: Role) -> Iterator[None]:
        """Takes a right of Kafka away for a while."""
        taken = acl(f"User:freshet-{role.name}", right.operation, right.kind, right.name)
        with self.kafka.admin() as admin:
            admin.delete_acls([_only(taken)])
            try:
                yield
            finally:
                admin.create_acls([taken])

    @contextmanager
    def unable(self, command: str, role: Role) -> Iterator[None]:
        """Takes a command of Redis away for a while."""
        with self.redis.admin() as admin:
            admin.execute_command("ACL", "SETUSER", f"freshet-{role.name}", f"-{command}")
            try:
                yield
            finally:
                admin.execute_command("ACL", "SETUSER", f"freshet-{role.name}", f"+{command}")


def documented(beginning: str) -> list[str]:
    """The lines of the documentation that begin so."""
    return [line for line in DOC.read_text(encoding="utf-8").splitlines() if line.startswith(beginning)]


def acl(principal: str, operation: str, kind: str, name: str) -> ACL:
    pattern = ResourcePattern(ResourceType[kind.upper()], name)
    return ACL(principal, "*", ACLOperation[operation.upper()], ACLPermissionType.ALLOW, pattern)


def _only(entry: ACL) -> ACLFilter:
    pattern = ResourcePatternFilter(
        entry.resource_pattern.resource_type, entry.resource_pattern.resource_name, ACLResourcePatternType.LITERAL
    )
    return ACLFilter(entry.principal, "*", entry.operation, ACLPermissionType.ALLOW, pattern)
