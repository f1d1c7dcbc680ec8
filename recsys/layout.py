"""The layout: what the state was built with, kept beside it, so that a worker that counts differently does not touch it."""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from msgspec import Struct

from recsys.keys import Keys
from recsys.rules import Rules
from recsys.sharding import ITEM_SHARDS
from recsys.store import Store, Swap

FORMAT = 5
"""The form of all stored values; a version that writes another one needs a rebuild."""


class Layout(Struct, frozen=True):
    """What must stay as it is while a state lives."""

    topic: str
    """The topic that was counted."""
    partitions: int
    """Its number of partitions, on which every user's home depends."""
    history: int = Rules().history
    window: int = Rules().window
    session_gap_ms: int = Rules().session_gap_ms
    """The rules that say what is counted (`recsys.rules`); the others may change while a state lives."""
    baskets: bool = False
    """Whether baskets were counted from the first event on; a state that does not say so was built without."""
    customers: bool = False
    """Whether accounts of customers were kept from the first event on; likewise."""
    rates: tuple[tuple[str, float], ...] = ()
    """Of currencies; how customers stand among each other was counted with these."""
    item_shards: int = ITEM_SHARDS
    format: int = FORMAT

    @property
    def log(self) -> tuple[str, int]:
        """What the state was built from: topic and number of partitions."""
        return self.topic, self.partitions


def layout_of(topic: str, partitions: int, rules: Rules) -> Layout:
    """The layout of a state that is counted by these rules."""
    return Layout(
        topic,
        partitions,
        rules.history,
        rules.window,
        rules.session_gap_ms,
        rules.baskets,
        rules.customers,
        rules.rates if rules.customers else (),
    )


def form_of(layout: Layout) -> str:
    """What states with this layout have in common, in a few characters: whatever is counted is the same in them.

    >>> form_of(layout_of("events", 4, Rules())) == form_of(layout_of("events", 4, Rules(session_gap_ms=1)))
    False
    """
    return blake2b(msgspec.json.encode(layout), digest_size=6).hexdigest()


OPTIONAL = ("baskets", "customers")
"""What a state may go on without."""

OTHER_SIGNER = (
    "the records that were forwarded so far were signed with another FRESHET_SECRET: give all workers the same. To change it, "
    "set the old one (freshet, where none was set), a comma and the new one everywhere, and then the new one first"
)


class LayoutChanged(RuntimeError):
    """The state was built with another layout than the worker has."""


async def claim(store: Store, keys: Keys, layout: Layout) -> None:
    """Makes `layout` that of a new state, or checks that an old state has it.

    Raises `LayoutChanged`, which says what differs and how to rebuild.
    """
    await store.swap([Swap(keys.state, None, msgspec.json.encode(layout), {})])
    stored = await stored_layout(store, keys)
    if stored == layout:
        return
    differences = [
        f"{name} was {getattr(stored, name)!r} and is {getattr(layout, name)!r}"
        for name in Layout.__struct_fields__
        if getattr(stored, name) != getattr(layout, name)
    ]
    raise LayoutChanged(
        f"the state under {keys.prefix!r} was built otherwise: {', '.join(differences)}. `freshet rebuild` builds it anew from "
        f"the topic{_without(stored, layout) if stored else ''}"
    )


def _without(stored: Layout, layout: Layout) -> str:
    """Where the state only lacks what it can go on without: how it can.

    >>> _without(Layout("events", 4), Layout("events", 4, baskets=True))
    ', with that counted from the first event on; or set FRESHET_BASKETS=false, and the worker goes on without it'
    """
    lacking = [name for name in OPTIONAL if getattr(layout, name) and not getattr(stored, name)]
    without = msgspec.structs.replace(layout, **dict.fromkeys(lacking, False))
    if not without.customers:
        without = msgspec.structs.replace(without, rates=())  # a state without accounts has none, see `layout_of`
    if not lacking or stored != without:
        return ""
    off = " and ".join(f"FRESHET_{name.upper()}=false" for name in lacking)
    return f", with that counted from the first event on; or set {off}, and the worker goes on without it"


async def claim_signer(store: Store, keys: Keys, signers: Sequence[bytes]) -> None:
    """Makes the first of `signers` the one whose signature forwarded records have from now on.

    Raises `LayoutChanged` where they have had one that is none of these: they would be counted twice.
    """
    [[stored]] = await store.read([[keys.signer]])
    if stored is not None and stored not in signers:
        raise LayoutChanged(OTHER_SIGNER)
    if stored != signers[0]:
        await store.swap([Swap(keys.signer, stored, signers[0], {})])


async def stored_layout(store: Store, keys: Keys) -> Layout | None:
    """The layout of the state; None where there is none yet."""
    [[value]] = await store.read([[keys.state]])
    return msgspec.json.decode(value, type=Layout) if value else None
