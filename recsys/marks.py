"""Marks: how far each shard has come. A mark is written together with what it stands for, or not at all."""

import msgspec
from msgspec import Struct

START = -1
"""The mark of a shard into which nothing was counted yet."""


class UserMark(Struct, omit_defaults=True):
    """The mark of a user shard, and what was met on its partition up to there.

    Its bytes are compared to see whether somebody changed the shard, so they hold a version.
    """

    version: int = 0
    born: str = ""
    """Tells this shard from one that was here before Redis lost everything."""
    offset: int = START
    """The last offset whose effects are in the shard."""
    forwarded_from: dict[int, int] = {}
    """By source partition, the last forwarded offset that was counted here."""
    letters_from: dict[int, int] = {}
    """By source partition, the offset of the last record on whose account a message about a visitor was taken here."""
    refused: int = 0
    """Of these, the ones that came after the visitor had joined another customer."""
    interactions: int = 0
    repeats: int = 0
    """Events whose id was in the history, and records of other partitions that came twice."""
    rejected: int = 0
    forwarded: int = 0
    """Records that came here although their user's home is another partition."""
    lost: int = 0
    """Offsets that Kafka no longer held when they were to be counted, and that were accepted as lost."""
    given: list[int] = []
    """By item shard, the last offset whose deltas went there; empty while nothing was given. An item shard that is behind has
    lost what it had."""
    bought: int = 0
    """Lines of baskets: an item twice in one basket counts once."""
    bought_again: int = 0
    """Of these, the items that the user held already."""
    repurchase: bytes = b""
    """What the partition's users bought again, packed (`recsys.returning.repurchase`); empty while nobody who held something
    bought."""
    baskets: int = 0
    """Sessions in which something was bought, as far as histories reach (`recsys.baskets`)."""


class ItemMark(Struct, omit_defaults=True):
    """The mark of an item shard: by source partition, the last offset whose deltas are in the shard's rows and sales."""

    version: int = 0
    offsets: dict[int, int] = {}

    @property
    def progress(self) -> int:
        """Grows whenever something is merged, and is the same again when a state that was lost is built again."""
        return sum(self.offsets.values()) + len(self.offsets)


_user = msgspec.json.Decoder(UserMark)
_item = msgspec.json.Decoder(ItemMark)


def user_mark(value: bytes | None) -> UserMark:
    """The mark in stored bytes, or that of a new shard.

    >>> user_mark(None).offset
    -1
    """
    return _user.decode(value) if value else UserMark()


def item_mark(value: bytes | None) -> ItemMark:
    return _item.decode(value) if value else ItemMark()


def encode(mark: UserMark | ItemMark) -> bytes:
    return msgspec.json.encode(mark)


def advanced(
    mark: UserMark,
    offset: int,
    given: list[int],
    *,
    repurchase: bytes,
    bought: int,
    bought_again: int,
    baskets: int,
    interactions: int,
    repeats: int,
    rejected: int,
    forwarded: int,
    refused: int,
) -> UserMark:
    """The mark after everything up to `offset` was counted, and deltas were given to item shards up to `given`."""
    return msgspec.structs.replace(
        mark,
        version=mark.version + 1,
        offset=offset,
        given=given,
        repurchase=repurchase,
        bought=mark.bought + bought,
        bought_again=mark.bought_again + bought_again,
        baskets=mark.baskets + baskets,
        interactions=mark.interactions + interactions,
        repeats=mark.repeats + repeats,
        rejected=mark.rejected + rejected,
        forwarded=mark.forwarded + forwarded,
        refused=mark.refused + refused,
    )
