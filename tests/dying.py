"""A store whose worker dies after so many writes."""

from typing import Any

from recsys.store import MemoryStore


class Dying(MemoryStore):
    """Raises `ConnectionError` at every write once none is `left`; somebody else's writes begin when there are more again."""

    def __init__(self, left: int = 1_000_000) -> None:
        super().__init__()
        self.left = left

    def count(self) -> None:
        """One write less; for what writes beside the store, too."""
        self.left -= 1
        if self.left < 0:
            raise ConnectionError

    async def put(self, *arguments: Any) -> bool:
        self.count()
        return await super().put(*arguments)

    async def swap(self, *arguments: Any) -> list[bool]:
        self.count()
        return await super().swap(*arguments)

    async def replace(self, *arguments: Any) -> list[bool]:
        self.count()
        return await super().replace(*arguments)
