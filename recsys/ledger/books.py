"""The books: the ledgers of all partitions added up, for those who read them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

from recsys.calendar import day_name, hour_name, month_of, week_of
from recsys.keys import Keys
from recsys.ledger import scopes
from recsys.ledger.figures import Figures, Hour, Reach, Subject, Value, Week
from recsys.ledger.scopes import ALL, NAMES, Names
from recsys.store import Store

V = TypeVar("V", Reach, Figures, Hour, Subject, Week)
AT_ONCE = 2_000
"""Values that are read together."""


class Books:
    """Reads the ledgers of a state that was counted on so many partitions. Each question is answered by what is there then."""

    def __init__(self, store: Store, keys: Keys, partitions: int) -> None:
        self._store = store
        self._keys = keys
        self._partitions = partitions

    async def total(self) -> Figures:
        """Of everything."""
        total = Figures()
        for figures in (await self.days()).values():
            total.merge(figures)
        total.customers = (await self._read([ALL], Reach)).get(ALL, Reach())
        return total

    async def months(self) -> dict[str, Figures]:
        """By month (2011-01), those with an event, in order."""
        found: dict[str, Figures] = {}
        days = await self._days()
        figures = await self._read([f"day:{day_name(day)}" for day in days], Figures)
        for day in days:
            found.setdefault(month_of(day).name, Figures()).merge(figures[f"day:{day_name(day)}"])
        distinct = await self._read([f"month:{month}" for month in found], Reach)
        for month, each in found.items():
            each.customers = distinct[f"month:{month}"]
        return found

    async def days(self) -> dict[str, Figures]:
        """By day (2011-01-05), those with an event, in order."""
        names = [day_name(day) for day in await self._days()]
        found = await self._read([f"day:{name}" for name in names], Figures)
        return {name: found[f"day:{name}"] for name in names}

    async def hours(self, days: int | None = None) -> dict[str, Hour]:
        """By hour (2011-01-05T13), those with an event that are not forgotten, in order; of the last days with one, or all."""
        known = await self._days()
        names = [hour_name(24 * day + hour) for day in known[-days if days else 0 :] for hour in range(24)]
        found = await self._read([f"hour:{name}" for name in names], Hour)
        return {name: found[f"hour:{name}"] for name in names if f"hour:{name}" in found}

    async def weeks(self) -> dict[int, Week]:
        """By week since 1970, those with an order or a refund, in order."""
        weeks = list(dict.fromkeys(map(week_of, await self._days())))
        found = await self._read([f"week:{week}" for week in weeks], Week)
        return {week: found[f"week:{week}"] for week in weeks if f"week:{week}" in found}

    async def sources(self) -> dict[str, Figures]:
        """By scope, `source:web`; with those that came too late to be told apart under `source:others`."""
        names = {source for each in await self._names() for source in each.sources}
        return await self._read(sorted(names | {scopes.OTHERS}), Figures)

    async def countries(self) -> dict[str, Figures]:
        """By scope, `country:DE`."""
        return await self._read(sorted({country for each in await self._names() for country in each.countries}), Figures)

    async def items(self) -> dict[str, Subject]:
        """By item, those that are not forgotten. All keys are looked through."""
        return await self._subjects("item:")

    async def searches(self) -> dict[str, Subject]:
        """By what was searched for; likewise."""
        return await self._subjects("search:")

    async def _subjects(self, kind: str) -> dict[str, Subject]:
        by_partition: dict[int, set[str]] = defaultdict(set)  # a scan may find a key twice
        begin = len(self._keys.internal) + len("{u")
        async for key in self._store.scan(self._keys.ledgers(kind)):
            partition, _, scope = key[begin:].partition("}:ledger:")
            by_partition[int(partition)].add(scope)
        found: dict[str, Subject] = {}
        for home, names in sorted(by_partition.items()):
            for scope, value in (await self._read(sorted(names), Subject, [home])).items():
                name = scope.removeprefix(kind)
                if name in found:
                    found[name].merge(value)
                else:
                    found[name] = value
        return found

    async def _names(self) -> list[Names]:
        replies = await self._store.read([[self._keys.ledger(partition, NAMES)] for partition in range(self._partitions)])
        return [scopes.unpack_names(value) for [value] in replies]

    async def _days(self) -> list[int]:
        return sorted({day for names in await self._names() for day in names.each_day()})

    async def _read(self, names: list[str], shape: type[V], partitions: Iterable[int] | None = None) -> dict[str, V]:
        """By scope, what is stored of it, added up."""
        found: dict[str, V] = {}
        here = list(range(self._partitions) if partitions is None else partitions)
        for at in range(0, len(names), AT_ONCE):
            some = names[at : at + AT_ONCE]
            replies = await self._store.read([[self._keys.ledger(partition, scope) for scope in some] for partition in here])
            for reply in replies:
                for scope, stored in zip(some, reply, strict=True):
                    if stored is not None:
                        _add(found, scope, scopes.unpack(scope, stored), shape)
        return found


def _add(found: dict[str, V], scope: str, value: Value, shape: type[V]) -> None:
    assert isinstance(value, shape)
    if scope in found:
        found[scope].merge(value)
    else:
        found[scope] = value
