"""Access to Kafka: who is refused learns at once why, where the clients would try again for ever without a word."""

import asyncio
import ssl
from collections.abc import Iterator

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from streams.brokers import Brokers

ANSWER_S = 5.0
CLOSE_S = 0.2
ATTEMPTS, AGAIN_S = 4, 1.0
"""A broker that ends a connection may also be about to stop: only if it goes on doing so it means us."""


class Refused(RuntimeError):
    """A broker answers and does not let us in, or must not be trusted, or a right is missing."""

    def __init__(self, what: str, todo: str, *, certain: bool = True) -> None:
        super().__init__(f"{what}: {todo}")
        self.what = what
        self.todo = todo
        self.certain = certain


async def knock(brokers: Brokers) -> None:
    """Returns if a broker lets us in, or if none answers at all: that may pass. Raises `Refused`."""
    for attempt in range(ATTEMPTS):
        refused = await _refusal(brokers)
        if refused is None:
            return
        if refused.certain or attempt == ATTEMPTS - 1:
            raise refused
        await asyncio.sleep(AGAIN_S)


async def _refusal(brokers: Brokers) -> Refused | None:
    refused: Refused | None = None
    for host in brokers.hosts:
        try:
            await asyncio.wait_for(_enter(brokers, host), ANSWER_S)
        except TimeoutError:
            continue
        except (errors.KafkaError, OSError) as error:
            refused = refused or _why(brokers, host, error)
        else:
            return None
    return refused


async def _enter(brokers: Brokers, address: str) -> None:
    host, _, port = address.rpartition(":")
    connection = AIOKafkaConnection(
        host.strip("[]"),
        int(port),
        client_id="freshet",
        request_timeout_ms=round(ANSWER_S * 1000),
        **brokers.security_arguments(),
    )
    try:
        await connection.connect()
        await connection.send(MetadataRequest([]))  # one who should log in and did not is thrown out now, not before
    finally:
        closed = connection.close()
        await asyncio.wait([closed], timeout=CLOSE_S)  # it is never done where nothing was connected


def _why(brokers: Brokers, host: str, error: BaseException) -> Refused | None:
    """What the error of an attempt to connect says; None for a broker that was not reached."""
    at = f"Kafka at {host}"
    for each in chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return Refused(
                f"{at}: its certificate cannot be trusted ({each.verify_message})",
                "FRESHET_KAFKA_CA must name the file of the CA that signed it, and FRESHET_BROKER a host that stands in it",
            )
        if isinstance(each, ssl.SSLError):
            return Refused(
                f"{at}: TLS fails ({each.reason or each})",
                "see FRESHET_KAFKA_SECURITY, FRESHET_KAFKA_CERTIFICATE and FRESHET_KAFKA_KEY",
            )
    if isinstance(error, errors.SaslAuthenticationFailed):
        return Refused(
            f"{at} does not let in user {brokers.user!r} with this password and {brokers.mechanism}",
            "see FRESHET_KAFKA_USER, FRESHET_KAFKA_PASSWORD and FRESHET_KAFKA_MECHANISM",
        )
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return Refused(f"{at} does not know {brokers.mechanism}", "set FRESHET_KAFKA_MECHANISM to one that it does")
    if isinstance(error, errors.IllegalSaslStateError):
        return Refused(
            f"{at}: nobody logs in at this port", f"FRESHET_KAFKA_SECURITY is {brokers.security}: set plaintext or ssl"
        )
    if isinstance(error, errors.KafkaConnectionError | ConnectionResetError):
        return Refused(
            f"{at} ends the connection at once",
            f"FRESHET_KAFKA_SECURITY is {brokers.security}, and this port seems to be for another of its values",
            certain=False,
        )
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it came from, what that came from."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
