"""The settings: environment variables `FRESHET_*`, checked at start."""

import math
import os
import re
from collections.abc import Mapping
from typing import Annotated, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from recsys.rules import Hideable, Rules

PREFIX = "FRESHET_"
TEST_DATA = "FRESHET_TEST_DATA"
"""Where the tests find real data; no setting of the product."""
HIDEABLE: tuple[str, ...] = get_args(Hideable)
CLUSTERS = ("redis+cluster://", "rediss+cluster://")


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
    topic_prefix: Annotated[str, Meta(description="put before every topic name", pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    key_prefix: Annotated[
        str, Meta(description="put before every Redis key; no braces, no white space", pattern=r"^[^{}\s]{1,100}$")
    ] = "freshet:"
    partitions: Annotated[int, Meta(description="partitions of topics that Freshet creates", ge=1, le=1000)] = 4
    history: Annotated[int, Meta(description="interactions remembered of each user", ge=1, le=1000)] = 50
    window: Annotated[int, Meta(description="earlier items of the session that an item is paired with", ge=1, le=20)] = 5
    session_gap: Annotated[float, Meta(description="seconds without an event that end a session", gt=0, le=31_536_000)] = 1800.0
    neighbours: Annotated[int, Meta(description="neighbours kept in an item's row", ge=1, le=10_000)] = 100
    half_life: Annotated[float, Meta(description="days after which a weight is worth half; 0 is no decay", ge=0, le=36_500)] = (
        30.0
    )
    top_n: Annotated[int, Meta(description="items in a recommendation", ge=1, le=500)] = 20
    hide: Annotated[str, Meta(description="left out of recommendations: current, purchased, seen, or none")] = (
        "current,purchased"
    )
    retention: Annotated[float, Meta(description="days after which a user without an event is forgotten", gt=0, le=36_500)] = (
        90.0
    )
    accept_loss: Annotated[
        bool, Meta(description="true: go on although Kafka no longer has events that were not counted yet")
    ] = False
    secret: Annotated[
        str,
        Meta(description="signs forwarded records, the same for all workers; to change it: the new one, a comma, the old ones"),
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
            top_n=self.top_n,
            hide=hidden(self.hide),
        )

    @property
    def retention_s(self) -> int:
        """Lifetime of a per-user key in seconds."""
        return max(1, round(self.retention * 86_400))

    @property
    def bootstrap(self) -> list[str]:
        """The brokers as `host:port`.

        >>> Settings(broker="kafka://a:1;b").bootstrap
        ['a:1', 'b:9092']
        """
        hosts = [part.strip().removeprefix("kafka://").rstrip("/") for part in self.broker.split(";")]
        return [host if re.search(r":\d+$", host) else f"{host}:9092" for host in hosts]

    def topic(self, name: str) -> str:
        return self.topic_prefix + name


def names() -> list[str]:
    """The variables' names without `FRESHET_`, lower case, in the order of the README's table."""
    return [name for name in Settings.__struct_fields__ if name != "sources"]


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: slips of the pen, most of them.

    >>> unknown({"FRESHET_TOPN": "5", "FRESHET_TOP_N": "5", "PATH": "/bin"})
    ['FRESHET_TOPN']
    """
    known = {PREFIX + name.upper() for name in names()} | {TEST_DATA}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from environment variables.

    Raises `SettingsError` for a value that is not allowed.

    >>> read_settings({"FRESHET_WINDOW": "many"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    streams.settings.SettingsError: FRESHET_WINDOW is 'many': expected `int`, got `str`. It is: earlier ... paired with
    """
    environ = os.environ if environ is None else environ
    given = {}
    for name in names():
        value = environ.get(PREFIX + name.upper())
        if value is not None:
            given[name] = checked(name, value.strip())
    return Settings(**given, sources=frozenset(given))  # type: ignore[arg-type]


def checked(name: str, value: str) -> object:
    """One variable's value, converted and checked."""
    info = next(f for f in msgspec.inspect.type_info(Settings).fields if f.name == name)  # type: ignore[attr-defined]
    annotation = Settings.__annotations__[name]
    try:
        result: object = msgspec.convert(value, annotation, strict=False)
        if isinstance(result, float) and not math.isfinite(result):
            raise msgspec.ValidationError("Expected a number")
        if name == "hide":
            hidden(value)
        if name in ("broker", "redis"):
            check_address(name, value)
    except msgspec.ValidationError as error:
        reason = str(error)
        said = f"{PREFIX}{name.upper()} is {without_password(value)!r}: {reason[0].lower()}{reason[1:]}"
        raise SettingsError(f"{said}. It is: {description(info.type)}") from None
    return result


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
        check_cluster_address(value)
        return
    schemes = {"broker": ("kafka",), "redis": ("redis", "rediss")}[name]
    for part in value.split(";") if name == "broker" else [value]:
        address = part.strip() if "://" in part or name == "redis" else f"kafka://{part.strip()}"
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
    """An address that may be shown.

    >>> without_password("redis://me:secret@host:6379/0")
    'redis://me:***@host:6379/0'
    """
    return re.sub(r"(?<=//)([^/@:]*):[^@]*@", r"\1:***@", address)
