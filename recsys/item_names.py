"""Item names: the ids of items by their hash, as their viewed rows have them; they never change."""

from collections.abc import Iterable, Mapping

from recsys import rows
from recsys.keys import Keys
from recsys.rows import Rows
from recsys.sharding import row_key
from recsys.store import Store

REMEMBERED = 500_000
"""Names that a worker keeps; beyond that it starts anew."""


class ItemNames:
    """The names of the items of a store; remembers those that it met."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._names: dict[int, str] = {}

    def remember(self, loaded: Rows) -> None:
        """The names in viewed rows."""
        if len(self._names) > REMEMBERED:
            self._names = {}  # what was handed out stays whole
        self._names.update((item, text) for item, text in zip(loaded.item.tolist(), loaded.ids, strict=True) if text)

    async def of(self, items: Iterable[int]) -> Mapping[int, str]:
        """The ids of those of the items (hashes) that have a row; there are others in it, too."""
        names = self._names
        unknown = list(set(items).difference(names))
        if unknown:
            replies = await self._store.read([[row_key(self._keys, item)] for item in unknown])
            names |= {item: rows.packed_id(value) for item, [value] in zip(unknown, replies, strict=True) if value}
        return names
