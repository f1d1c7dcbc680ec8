"""The brokers: where they are, and what each Kafka client is told to connect to them."""

import re
import ssl
from functools import cache
from typing import Any, Literal

from msgspec import Struct

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


class Unusable(ValueError):
    """A setting that does not go with the others, or a file that is not what it must be. `setting` is its name."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(reason)
        self.setting = setting


class Brokers(Struct, frozen=True, kw_only=True):
    """Kafka's addresses and how to get in. The password is shown by no `repr`."""

    hosts: tuple[str, ...]
    security: Security = "plaintext"
    mechanism: Mechanism = "SCRAM-SHA-512"
    user: str = ""
    password: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Brokers({';'.join(self.hosts)}, {self.security}, user={self.user!r})"

    @property
    def has_tls(self) -> bool:
        return self.security in ("ssl", "sasl_ssl")

    @property
    def has_users(self) -> bool:
        return self.security in ("sasl_plaintext", "sasl_ssl")

    @property
    def who(self) -> str:
        """Who we are to Kafka, as it stands in our errors."""
        if self.has_users:
            return f"Kafka's user {self.user!r}"
        return f"Kafka's user of the certificate {self.certificate}" if self.certificate else "Kafka's user ANONYMOUS"

    def connection(self) -> dict[str, Any]:
        """Keyword arguments of every client of aiokafka and of kafka-python: they have the same names for these.

        >>> Brokers(hosts=("a:9092",)).connection()
        {'bootstrap_servers': ['a:9092'], 'security_protocol': 'PLAINTEXT'}
        """
        return {"bootstrap_servers": list(self.hosts), **self.security_arguments()}

    def security_arguments(self) -> dict[str, Any]:
        """Those of them that do not say where the brokers are."""
        found: dict[str, Any] = {"security_protocol": self.security.upper()}
        if self.has_tls:
            found["ssl_context"] = self.tls()
        if self.has_users:
            found["sasl_mechanism"] = self.mechanism
            found["sasl_plain_username"] = self.user
            found["sasl_plain_password"] = self.password
        return found

    def credentials(self) -> Any:
        """The same for Faust's `broker_credentials`; None for plaintext."""
        from faust.auth import SASLCredentials, SSLCredentials

        if self.has_users:
            context = self.tls() if self.has_tls else None
            return SASLCredentials(username=self.user, password=self.password, mechanism=self.mechanism, ssl_context=context)
        return SSLCredentials(self.tls()) if self.has_tls else None

    def tls(self) -> ssl.SSLContext:
        """Who is trusted and who we are; one context a process. Raises `Unusable`."""
        return _tls(self.ca, self.certificate, self.key)

    def check(self) -> None:
        """Raises `Unusable` where the parts do not make a whole."""
        for setting, value in (("kafka_user", self.user), ("kafka_password", self.password)):
            if value and not self.has_users:
                raise Unusable(
                    setting, f"nobody logs in where FRESHET_KAFKA_SECURITY is {self.security}: it must be sasl_ssl then"
                )
            if not value and self.has_users:
                raise Unusable(setting, f"it must be set where FRESHET_KAFKA_SECURITY is {self.security}")
        for setting, value in (("kafka_ca", self.ca), ("kafka_certificate", self.certificate), ("kafka_key", self.key)):
            if value and not self.has_tls:
                raise Unusable(
                    setting, f"there is no TLS where FRESHET_KAFKA_SECURITY is {self.security}: it must be ssl or sasl_ssl then"
                )
        if self.key and not self.certificate:
            raise Unusable("kafka_key", "a key is of use with its certificate only: set FRESHET_KAFKA_CERTIFICATE, too")
        if self.has_tls:
            self.tls()


def hosts(addresses: str) -> tuple[str, ...]:
    """FRESHET_BROKER as `host:port`s.

    >>> hosts("kafka://a:1;b")
    ('a:1', 'b:9092')
    """
    found = [part.strip().removeprefix("kafka://").rstrip("/") for part in addresses.split(";")]
    return tuple(host if re.search(r":\d+$", host) else f"{host}:9092" for host in found)


@cache
def _tls(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    for setting, path in (("kafka_ca", ca), ("kafka_certificate", certificate), ("kafka_key", key)):
        if path:
            check_readable(setting, path)
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError:
        raise Unusable("kafka_ca", "there is no certificate in PEM form in this file") from None
    if certificate:
        try:
            context.load_cert_chain(certificate, key or None, password=_no_passphrase)
        except ssl.SSLError as error:
            reason = f"the two are no certificate and its key in PEM form ({error.reason or 'not readable'})"
            raise Unusable("kafka_key" if key else "kafka_certificate", reason if key else _NO_KEY) from None
    return context


_NO_KEY = "there is no certificate in PEM form with its key in this file: FRESHET_KAFKA_KEY names the key's own file"


def _no_passphrase() -> str:
    """OpenSSL would ask the terminal, and a worker has none."""
    raise Unusable("kafka_key", "the key is encrypted: give one that is not, in a file that only the worker may read")


def check_readable(setting: str, path: str) -> None:
    """Raises `Unusable` for a file that cannot be read."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise Unusable(setting, f"{path} cannot be read: {error.strerror}") from None
