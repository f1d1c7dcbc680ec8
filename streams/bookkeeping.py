"""Bookkeeping: the shop's tables, read from the live state."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from recsys.catalogue.item import CatalogueItem, decode
from recsys.keys import Keys
from recsys.layout import Layout
from recsys.ledger import active, moves, segments, tables
from recsys.ledger.books import Books
from recsys.ledger.figures import Figures, Subject
from recsys.ledger.tables import Table
from recsys.store import Store
from streams.looking import NothingToSee, open_state
from streams.settings import Settings

LAST_DAYS = 2
"""Up to the newest with an event, whose hours are told."""
LAST_HOURS = 2
"""Up to the newest with an event, whose minutes are told."""
AT_ONCE = 2_000


class Bookkeeping:
    """Makes tables of what is there now."""

    def __init__(self, store: Store, keys: Keys, layout: Layout) -> None:
        self._store = store
        self._keys = keys
        self._layout = layout
        self._books = Books(store, keys, layout.partitions)

    async def segments(self, days: int = moves.LAST_DAYS) -> list[Table]:
        """Customers by segment, as they stand now; how they moved on the last days on which somebody bought; and how many were
        active."""
        census = await segments.census(self._store, self._keys, self._layout.partitions, dict(self._layout.rates))
        moved = moves.moves(census.trades, days)
        return [segments.table(census.segments), moves.table(moved), active.table(census.activity)]

    async def sales(self, by: str, last: int) -> Table:
        """Sales and active customers of the last months, days, hours or minutes with an event."""
        if by in ("month", "day"):
            found = await self.places(by)
            return tables.sales(f"{by}s", f"{by.title()}s", by, dict(list(found.items())[-last:]))
        # So many hours, and minutes, with an event are in no more days.
        hours = await self._books.hours(last)
        table = tables.hours(hours) if by == "hour" else tables.minutes(hours)
        return table._replace(rows=table.rows[-last:])

    async def top(self, what: str, *, rising: bool) -> Table:
        """The items, categories or searches that brought most, or those that rise."""
        if what == "searches":
            found, titles = await self._books.searches(), dict[str, str]()
        else:
            found, titles, in_categories = await self._items()
            found = in_categories if what == "categories" else found
        title, of_what = what.title(), {"items": "item", "categories": "category", "searches": "search"}[what]
        if rising:
            return tables.rising(f"rising {what}", f"Rising {what}", of_what, found, titles)
        return tables.searches(found) if what == "searches" else tables.subjects(what, title, of_what, found, titles)

    async def _items(self) -> tuple[dict[str, Subject], dict[str, str], dict[str, Subject]]:
        """Items, the titles of those that have one, and the same added up by category."""
        items = await self._books.items()
        described = await self._described(list(items))
        titles = {item: each.title for item, each in described.items() if each.title}
        return items, titles, tables.by_category(items, {item: each.categories for item, each in described.items()})

    async def funnel(self, by: str) -> Table:
        """From view to purchase, `by` all, month, day, source or country."""
        if by == "all":
            return tables.funnel("all", {"everything": await self._books.total()})
        return tables.funnel(by, await self.places(by))

    async def places(self, by: str) -> dict[str, Figures]:
        """Figures by month, day, source or country."""
        reading = {
            "month": self._books.months,
            "day": self._books.days,
            "source": self._books.sources,
            "country": self._books.countries,
        }
        found = await reading[by]()
        return tables.foremost(found) if by in ("source", "country") else found

    async def cohorts(self) -> Table:
        """Cohorts by the week of the first order."""
        return tables.cohorts(await self._books.weeks())

    async def report(self) -> list[Table]:
        """All tables."""
        months, days = await self.places("month"), await self.places("day")
        hours = await self._books.hours(LAST_DAYS)
        sources, countries = await self.places("source"), await self.places("country")
        items, titles, in_categories = await self._items()
        searches = await self._books.searches()
        return [
            tables.sales("months", "Months", "month", months),
            tables.sales("days", "Days", "day", days),
            tables.hours(hours),
            tables.minutes(dict(list(hours.items())[-LAST_HOURS:])),
            await self.funnel("all"),
            tables.funnel("month", months)._replace(name="funnel by month"),
            tables.funnel("source", sources)._replace(name="funnel by source"),
            tables.sales("sources", "Where from", "source", sources),
            tables.sales("countries", "Countries", "country", countries),
            await self.cohorts(),
            *await self.segments(),
            tables.subjects("items", "Items", "item", items, titles),
            tables.rising("rising items", "Rising items", "item", items, titles),
            tables.subjects("categories", "Categories", "category", in_categories, {}),
            tables.rising("rising categories", "Rising categories", "category", in_categories, {}),
            tables.searches(searches),
            tables.rising("rising searches", "Rising searches", "search", searches, {}),
        ]

    async def categories(self) -> Table:
        """Views, carts and orders by category of the catalogue."""
        return await self.top("categories", rising=False)

    async def _described(self, items: Sequence[str]) -> dict[str, CatalogueItem]:
        """What the catalogue says of these items, of those that it has."""
        found: dict[str, CatalogueItem] = {}
        for at in range(0, len(items), AT_ONCE):
            some = items[at : at + AT_ONCE]
            for item, [value] in zip(some, await self._store.read([[self._keys.item(item)] for item in some]), strict=True):
                if value is not None:
                    found[item] = decode(item.encode(), value)
        return found


@asynccontextmanager
async def bookkeeping(settings: Settings) -> AsyncIterator[Bookkeeping]:
    """Looks at the state under the key prefix of the settings.

    Raises `NothingToSee` where nothing is counted, or customers are not; `redis.exceptions.RedisError`.
    """
    async with open_state(settings) as (live, layout):
        if not layout.customers:
            raise NothingToSee(
                "the state was counted without customers, so it has no figures: set FRESHET_CUSTOMERS=true, run freshet rebuild"
            )
        yield Bookkeeping(live, live.keys, layout)
