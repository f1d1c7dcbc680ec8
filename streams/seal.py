"""The seal on forwarded records: nobody without the secret can pass a record off as one that a worker sent on.

Whether a record counts as forwarded must come out the same whenever the log is read again. So the decision rests on the record
and on a secret from the settings, not on anything in Redis, which may be emptied.
"""

import hmac
from hashlib import sha256
from typing import NamedTuple, Self

MAC_BYTES = 16
NO_SECRET = "freshet"
"""Keeps accidents out, and whoever does not read this."""


class Origin(NamedTuple):
    """Where a forwarded record first came."""

    partition: int
    offset: int
    timestamp_ms: int


class Seal(NamedTuple):
    """The secrets of a system, the first to sign with; and what its records are counted under."""

    secrets: tuple[bytes, ...]
    topic: str
    partitions: int

    @classmethod
    def of(cls, secrets: str, topic: str, partitions: int) -> Self:
        """From the setting: secrets with commas between, the newest first."""
        return cls(tuple(part.strip().encode() for part in (secrets or NO_SECRET).split(",")), topic, partitions)

    def header(self, origin: Origin, home: int, value: bytes) -> bytes:
        """The header of a record with this value on its way to partition `home`.

        >>> Seal.of("secret", "events", 4).header(Origin(3, 17, 1_700_000_000_000), 0, b"{}")
        b'3/17/1700000000000/4-4a25b80ab64c5769d15401681ed52fa3'
        """
        mac = self._mac(self.secrets[0], self.partitions, origin, home, value)
        return b"%d/%d/%d/%d-%s" % (*origin, self.partitions, mac)

    def opened(self, header: bytes, home: int, value: bytes | None) -> tuple[Origin, int] | None:
        """The origin, and the number of partitions it was sent on under; None for a header that is not ours."""
        parts = header.split(b"/")
        if len(parts) != 4 or value is None or not all(part.isdigit() and len(part) <= 18 for part in parts[:3]):
            return None
        under, _, given = parts[3].partition(b"-")
        if not (under.isdigit() and len(under) <= 9):
            return None
        origin = Origin(*map(int, parts[:3]))
        macs = (self._mac(secret, int(under), origin, home, value) for secret in self.secrets)
        if b"%d/%d/%d/%d" % (*origin, int(under)) == header.rpartition(b"-")[0] and any(
            hmac.compare_digest(mac, given) for mac in macs
        ):
            return origin, int(under)
        return None

    def _mac(self, secret: bytes, partitions: int, origin: Origin, home: int, value: bytes) -> bytes:
        """Signs all that decides: else a genuine header could be put on another record, or the record elsewhere."""
        message = b"%s/%d/%d/%d/%d/%d/" % (self.topic.encode(), partitions, home, *origin)
        return hmac.digest(secret, message + value, sha256)[:MAC_BYTES].hex().encode()
