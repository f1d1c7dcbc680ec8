"""The settings: environment variables `FRESHET_*`, checked at start."""

import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec import Meta, Struct, field
from msgspec.inspect import Type

from recsys.rules import Hideable, Rules
from streams.allowed import KEY_PREFIX, SECRET, TOPIC_PREFIX, allowed
from streams.brokers import Brokers, Mechanism, Security, Unusable, check_readable, hosts
from streams.slips import meant
from streams.weights import action_weights, rates

PREFIX = "FRESHET_"
TEST_DATA = "FRESHET_TEST_DATA"
"""Where the tests find real data; no setting of the product."""
HIDEABLE: tuple[str, ...] = get_args(Hideable)
CLUSTERS = ("redis+cluster://", "rediss+cluster://")
HIDDEN = "***"
MOST_PORT = 65_535
SECRETS = frozenset({"kafka_password", "secret"})
"""Settings that are never shown. A password in an address is hidden by `without_password`."""
REDIS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
REDIS_QUERY = (*REDIS_FILES, "ssl_check_hostname", "ssl_cert_reqs")
"""What may stand in the query of FRESHET_REDIS."""


class SettingsError(ValueError):
    """A setting that cannot be used: names the variable, its value and what is allowed."""


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. Each field is the variable `FRESHET_<NAME>`; its docstring is its row in the README's table.

    >>> read_settings({"FRESHET_TOP_N": "10"}).top_n
    10
    """

    broker: Annotated[str, Meta(description="Kafka: kafka://host:port, several with ; between")] = "kafka://localhost:9092"
    redis: Annotated[
        str, Meta(description="Redis: redis://[[user]:password@]host:port/db; redis+cluster://host:port,host2:port2")
    ] = "redis://localhost:6379/0"
    kafka_security: Annotated[
        Security, Meta(description="how to connect to Kafka: plaintext, ssl, sasl_plaintext or sasl_ssl")
    ] = "plaintext"
    kafka_mechanism: Annotated[
        Mechanism, Meta(description="how to log in, with sasl: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN")
    ] = "SCRAM-SHA-512"
    kafka_user: Annotated[str, Meta(description="who logs in, with sasl")] = ""
    kafka_password: Annotated[str, Meta(description="the user's password, with sasl")] = ""
    kafka_ca: Annotated[str, Meta(description="file of the CA of the brokers' certificates; the system's CAs without it")] = ""
    kafka_certificate: Annotated[str, Meta(description="file of our own certificate, where the brokers want one")] = ""
    kafka_key: Annotated[str, Meta(description="file of that certificate's key")] = ""
    topic_prefix: Annotated[str, Meta(description="put before every topic name", pattern=TOPIC_PREFIX)] = ""
    key_prefix: Annotated[
        str, Meta(description="put before every Redis key; no braces, no white space", pattern=KEY_PREFIX)
    ] = "freshet:"
    partitions: Annotated[int, Meta(description="partitions of topics that Freshet creates", ge=1, le=1000)] = 4
    history: Annotated[int, Meta(description="interactions remembered of each user", ge=1, le=1000)] = 50
    window: Annotated[int, Meta(description="earlier items of the session that an item is paired with", ge=1, le=20)] = 5
    session_gap: Annotated[float, Meta(description="seconds without an event that end a session", gt=0, le=31_536_000)] = 1800.0
    neighbours: Annotated[int, Meta(description="neighbours kept in an item's row", ge=1, le=10_000)] = 100
    half_life: Annotated[float, Meta(description="days after which a weight is worth half; 0 is no decay", ge=0, le=36_500)] = (
        90.0
    )
    action_weights: Annotated[
        str, Meta(description="what a pair weighs by the later action, as name=number; actions that are not named weigh 1")
    ] = "add_to_cart=3,wishlist=2,purchase=4,rating=4"
    baskets: Annotated[bool, Meta(description="true: what is bought together is counted, and after what; false: it is not")] = (
        True
    )
    customers: Annotated[
        bool, Meta(description="true: what is known of each customer is counted and published; false: not")
    ] = True
    rates: Annotated[
        str, Meta(description="what a unit of each currency is worth in the shop's own, as EUR=1,USD=0.9; empty: 1 each")
    ] = ""
    visitors: Annotated[
        int, Meta(description="newest visitors kept of each item, for user-based recommendation; 0: none", ge=0, le=1000)
    ] = 100
    learner: Annotated[bool, Meta(description="true: ranking learns from what users do; false: by a fixed formula")] = True
    explore: Annotated[
        float, Meta(description="share of the places of cold lists that new items get; 0 is none", ge=0, le=0.5)
    ] = 0.1
    top_n: Annotated[int, Meta(description="items in a recommendation", ge=1, le=500)] = 20
    hide: Annotated[str, Meta(description="left out of recommendations: current, once, purchased, seen, or none")] = (
        "current,once"
    )
    retention: Annotated[float, Meta(description="days after which a user without an event is forgotten", gt=0, le=36_500)] = (
        90.0
    )
    catalogue: Annotated[
        bool, Meta(description="true: read what is known of items from the topic `items`; false: leave that topic alone")
    ] = True
    accept_loss: Annotated[
        bool, Meta(description="true: go on although Kafka no longer has events that were not counted yet")
    ] = False
    secret: Annotated[
        str,
        Meta(
            description="signs what workers write to `events`, the same for all; of several, with commas, the first signs",
            pattern=SECRET,
        ),
    ] = ""
    sources: frozenset[str] = field(default=frozenset())
    """Names of the fields that came from the environment; the others are defaults."""

    @property
    def rules(self) -> Rules:
        """What the pure part needs of the settings."""
        return Rules(
            history=self.history,
            window=self.window,
            session_gap_ms=round(self.session_gap * 1000),
            neighbours=self.neighbours,
            half_life_ms=self.half_life * 86_400_000.0,
            action_weights=action_weights(self.action_weights),
            baskets=self.baskets,
            customers=self.customers,
            rates=rates(self.rates),
            visitors=self.visitors,
            learner=self.learner,
            explore=self.explore,
            top_n=self.top_n,
            hide=hidden(self.hide),
        )

    @property
    def retention_s(self) -> int:
        """Lifetime of a per-user key in seconds."""
        return max(1, round(self.retention * 86_400))

    @property
    def brokers(self) -> Brokers:
        """Where Kafka is and how to get in.

        >>> Settings(broker="kafka://a:1;b").brokers.hosts
        ('a:1', 'b:9092')
        """
        return Brokers(
            hosts=hosts(self.broker),
            security=self.kafka_security,
            mechanism=self.kafka_mechanism,
            user=self.kafka_user,
            password=self.kafka_password,
            ca=self.kafka_ca,
            certificate=self.kafka_certificate,
            key=self.kafka_key,
        )

    def shown(self, name: str) -> str:
        """A setting as anybody may see it."""
        return shown(name, str(getattr(self, name)))

    def __repr__(self) -> str:
        """
        >>> "hunter2" in repr(Settings(redis="redis://:hunter2@h", kafka_password="hunter2", secret="hunter2"))
        False
        """
        return f"Settings({', '.join(f'{name}={self.shown(name)!r}' for name in names())})"

    def topic(self, name: str) -> str:
        return self.topic_prefix + name


def names() -> list[str]:
    """The variables' names without `FRESHET_`, lower case, in the order of the README's table."""
    return [name for name in Settings.__struct_fields__ if name != "sources"]


def unknown(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that look like settings and are none, slips of the pen most of them, and in words what is wrong with each.

    >>> unknown({"FRESHET_TOPN": "5", "FRESHET_TOP_N": "5", "PATH": "/bin"})
    {'FRESHET_TOPN': "there is no such setting (is 'FRESHET_TOP_N' meant?)"}
    """
    known = [PREFIX + name.upper() for name in names()]
    found = sorted(name for name in environ if name.startswith(PREFIX) and name not in (*known, TEST_DATA))
    return {name: f"there is no such setting{meant(name, known)}" for name in found}


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from environment variables.

    Raises `SettingsError` for a value that is not allowed.

    >>> read_settings({"FRESHET_WINDOW": "many"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    streams.settings.SettingsError: FRESHET_WINDOW is 'many': expected a whole number from 1 to 20. It is: earlier ... with
    """
    environ = os.environ if environ is None else environ
    given = {}
    for name in names():
        value = environ.get(PREFIX + name.upper())
        if value is not None:
            given[name] = checked(name, value if name in SECRETS else value.strip())
    settings = Settings(**given, sources=frozenset(given))  # type: ignore[arg-type]
    try:
        if "kafka_mechanism" in given and not settings.brokers.has_users:
            raise Unusable("kafka_mechanism", f"nobody logs in where FRESHET_KAFKA_SECURITY is {settings.kafka_security}")
        settings.brokers.check()
    except Unusable as error:
        raise SettingsError(f"{PREFIX}{error.setting.upper()} is {settings.shown(error.setting)!r}: {error}") from None
    return settings


def checked(name: str, value: str) -> object:
    """One variable's value, converted and checked."""
    info = next(f for f in msgspec.inspect.type_info(Settings).fields if f.name == name)  # type: ignore[attr-defined]
    annotation = Settings.__annotations__[name]
    try:
        result = converted(value, annotation, info.type)
        if name == "hide":
            hidden(value)
        if name == "action_weights":
            action_weights(value)
        if name == "rates":
            rates(value)
        if name in ("broker", "redis"):
            check_address(name, value)
    except msgspec.ValidationError as error:
        said = f"{PREFIX}{name.upper()} is {shown(name, value)!r}: {lowered(str(error))}"
        raise SettingsError(f"{said}. It is: {description(info.type)}") from None
    return result


def converted(value: str, annotation: Any, kind: Type) -> object:
    """The text of a variable as its field holds it. Raises `msgspec.ValidationError`, which says all that is allowed."""
    with suppress(msgspec.ValidationError):
        result: object = msgspec.convert(value, annotation, strict=False)
        if not isinstance(result, float) or math.isfinite(result):
            return result
    raise msgspec.ValidationError(f"Expected {allowed(kind)}")


def lowered(said: str) -> str:
    """A sentence as the end of one; it may begin with a name.

    >>> lowered("Expected a number"), lowered("FRESHET_X is missing")
    ('expected a number', 'FRESHET_X is missing')
    """
    return said[0].lower() + said[1:] if said[1:2].islower() else said


def description(type_info: object) -> str:
    extra = getattr(type_info, "extra_json_schema", None) or {}
    return str(extra.get("description", ""))


def hidden(text: str) -> frozenset[Hideable]:
    """What `FRESHET_HIDE` names.

    >>> sorted(hidden("seen, purchased"))
    ['purchased', 'seen']
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in HIDEABLE:
            raise msgspec.ValidationError(f"{part!r} is none of {', '.join(HIDEABLE)}")
    if "none" in parts and len(parts) > 1:
        raise msgspec.ValidationError("none stands alone")
    return frozenset(parts) - {"none"}  # type: ignore[return-value]


def check_address(name: str, value: str) -> None:
    """The form of an address; whether it answers is found when it is used."""
    if name == "redis" and value.startswith(CLUSTERS):
        check_ports(value)
        check_cluster_address(value)
        check_query(urlsplit(value).scheme.replace("+cluster", ""), urlsplit(value).query)
        return
    schemes = {"broker": ("kafka",), "redis": ("redis", "rediss")}[name]
    for part in value.split(";") if name == "broker" else [value]:
        if name == "broker" and "@" in part:
            raise msgspec.ValidationError("User and password of Kafka stand in FRESHET_KAFKA_USER and FRESHET_KAFKA_PASSWORD")
        address = part.strip() if "://" in part or name == "redis" else f"kafka://{part.strip()}"
        check_ports(address)
        try:
            url = urlsplit(address)
            wrong = url.scheme not in schemes or not url.hostname or url.port == 0 or "," in url.netloc
        except ValueError:  # a port that is none
            wrong = True
        if wrong or not (name == "broker" or re.fullmatch(r"/?\d*", url.path)):
            form = (
                "kafka://host:port, several with ; between"
                if name == "broker"
                else "redis://host:port/db or rediss://host:port/db, of a cluster redis+cluster://host:port,host2:port2"
            )
            raise msgspec.ValidationError(f"Expected {form}")
        if name == "redis":
            check_query(url.scheme, url.query)


def check_ports(address: str) -> None:
    """That where a port is a number, it is one there can be. It is not shown: it may be a part of a password.

    >>> check_ports("redis+cluster://a:7001,b:70000")
    Traceback (most recent call last):
    ...
    msgspec.ValidationError: A port is a number between 1 and 65535
    """
    hosts = re.split(r"[/?#]", address.rpartition("://")[2], maxsplit=1)[0].rpartition("@")[2]
    for port in re.findall(r":0*(\d+)(?:,|$)", hosts):
        if len(port) > len(str(MOST_PORT)) or not 1 <= int(port) <= MOST_PORT:
            raise msgspec.ValidationError(f"A port is a number between 1 and {MOST_PORT}")


def check_query(scheme: str, query: str) -> None:
    """What follows the ? of an address of Redis: TLS alone; everything else would be told to the client unchecked."""
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in REDIS_QUERY:
            raise msgspec.ValidationError(f"After the ? may stand {', '.join(REDIS_QUERY)}, nothing else")
        if scheme == "redis":
            raise msgspec.ValidationError(f"{key} is for TLS: the address must begin with rediss:// then")
        allowed = {"ssl_check_hostname": ("true", "false"), "ssl_cert_reqs": ("required", "none")}.get(key)
        if allowed and value not in allowed:
            raise msgspec.ValidationError(f"{key} must be {' or '.join(allowed)}")
        if key in REDIS_FILES:
            try:
                check_readable("redis", value)
            except Unusable as error:
                raise msgspec.ValidationError(f"{key}: {error}") from None


def shown(name: str, value: str) -> str:
    """A setting's value as anybody may see it.

    >>> shown("kafka_password", "secret"), shown("kafka_password", ""), shown("top_n", "5")
    ('***', '', '5')
    """
    if name in SECRETS:
        return HIDDEN if value else ""
    return without_password(value) if name in ("broker", "redis") else value


def check_cluster_address(value: str) -> None:
    """The form of a cluster's address: several nodes, no database but 0."""
    try:
        url = urlsplit(value)
        nodes = [urlsplit(f"//{host}") for host in url.netloc.rpartition("@")[2].split(",")]
        wrong = not all(node.hostname and node.port != 0 for node in nodes)
    except ValueError:  # a port that is none
        wrong = True
    if wrong:
        raise msgspec.ValidationError(
            "Expected redis+cluster://host:port,host2:port2 or rediss+cluster://host:port,host2:port2"
        )
    if url.path not in ("", "/", "/0"):
        raise msgspec.ValidationError(f"A cluster has the database 0 only: leave out {url.path}")


def without_password(address: str) -> str:
    """An address that may be shown. Where it is not clear what is the password, more is hidden.

    >>> without_password("redis://me:secret@host:6379/0")
    'redis://me:***@host:6379/0'
    >>> without_password("rediss://host/0?ssl_ca_certs=/ca.pem&password=secret")
    'rediss://host/0?ssl_ca_certs=/ca.pem&***'
    """
    head, mark, query = address.partition("?")
    if "@" in query:  # a password with a ? in it, or one in the query with an @
        return re.sub(r"^(\w+://|).*", rf"\1{HIDDEN}", address, flags=re.DOTALL)
    head = re.sub(r"(://|^(?!.*://))([^:]*):.*@", rf"\1\2:{HIDDEN}@", head, flags=re.DOTALL)
    parts = (part if part.partition("=")[0] in REDIS_QUERY else HIDDEN for part in query.split("&"))
    return head + mark + "&".join(parts) if mark else head


def secrets(settings: Settings) -> list[str]:
    """All that must be shown nowhere, in every form in which a library may write it; the longest first."""
    found = {str(getattr(settings, name)) for name in SECRETS}
    found |= {password for password in passwords_of(settings.redis) if password}
    return sorted((text for text in found if text), key=len, reverse=True)


def passwords_of(address: str) -> list[str]:
    """The password in an address, as it stands there and decoded.

    >>> passwords_of("redis://me:a%40b@host")
    ['a%40b', 'a@b']
    """
    password = urlsplit(address).password
    return [password, unquote(password)] if password else []
