"""The seal on records of workers: nobody without the secret can pass one off as sent on, or as a message of a worker.

Whether a record counts as forwarded must come out the same whenever the log is read again. So the decision rests on the record
and on a secret from the settings, not on anything in Redis, which may be emptied.
"""

import hmac
import re
from hashlib import sha256
from typing import NamedTuple, Self

MAC_BYTES = 16
HEADER = re.compile(rb"(\d{1,19})/(\d{1,19})/(-?\d{1,19})/(\d{1,9})-([0-9a-f]{%d})" % (2 * MAC_BYTES))
"""Partition, offset and timestamp (-1 where there is none) of the original; the number of partitions, and the signature."""
NO_SECRET = "freshet"
"""Keeps accidents out, and whoever does not read this."""
FORWARDED = "forwarded"
"""The header of a record that was sent on to its home partition: partition, offset and timestamp in ms of the original, and the
seal."""
JOINING = "joining"
"""The header of a message from a user's home to another's (`recsys.customers.joins`): likewise of the record on whose account
it was sent, with the time of its event."""


class Origin(NamedTuple):
    """Where a forwarded record first came; or of a message, the record on whose account it was sent."""

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

    @property
    def signers(self) -> list[bytes]:
        """What tells the secrets apart and gives none of them away, the one that signs first."""
        return [hmac.digest(secret, b"signer", sha256)[:8].hex().encode() for secret in self.secrets]

    def header(self, origin: Origin, home: int, value: bytes, name: str = FORWARDED) -> bytes:
        """The header, of that name, of a record with this value on its way to partition `home`.

        >>> Seal.of("secret", "events", 4).header(Origin(3, 17, 1_700_000_000_000), 0, b"{}")
        b'3/17/1700000000000/4-4a25b80ab64c5769d15401681ed52fa3'
        """
        return self._sealed(self.secrets[0], name, origin, self.partitions, home, value)

    def opened(self, header: bytes | None, home: int, value: bytes | None, name: str = FORWARDED) -> tuple[Origin, int] | None:
        """The origin, and the number of partitions it was sent on under; None for a header that is not ours."""
        parts = HEADER.fullmatch(header or b"")
        if header is None or parts is None or value is None:
            return None
        origin, under = Origin(*map(int, parts.groups()[:3])), int(parts[4])
        ours = (self._sealed(secret, name, origin, under, home, value) for secret in self.secrets)
        return (origin, under) if any(hmac.compare_digest(header, each) for each in ours) else None

    def _sealed(self, secret: bytes, name: str, origin: Origin, under: int, home: int, value: bytes) -> bytes:
        """Signs all that decides: else a genuine header could be put on another record, or the record elsewhere."""
        of_a_kind = b"" if name == FORWARDED else name.encode() + b"/"
        message = of_a_kind + b"%s/%d/%d/%d/%d/%d/" % (self.topic.encode(), under, home, *origin)
        mac = hmac.digest(secret, message + value, sha256)[:MAC_BYTES].hex().encode()
        return b"%d/%d/%d/%d-%s" % (*origin, under, mac)
