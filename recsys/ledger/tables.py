"""Tables: what the books say, as rows of plain values, the same for people, JSON, CSV and charts."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import sqrt
from typing import NamedTuple

from recsys.calendar import day_name, monday
from recsys.customers.money import decimal
from recsys.events import Kind
from recsys.ledger.figures import Amounts, Cell, Figures, Hour, Reach, Subject, Week, add_all
from recsys.ledger.scopes import FIRST_DAY

Value = str | int | float | Decimal | None
WEEK_DAYS = 7
SHARES = ("share", "conversion", "cart abandonment", "retention", "orders a view")
"""Columns of fractions, beside those of `retention`."""
MOST_ROWS = 100
"""Of items, categories and searches."""


class Table(NamedTuple):
    """Rows under columns; shares are fractions between 0 and 1."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    @property
    def objects(self) -> list[dict[str, Value]]:
        """The rows as JSON has them."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def text(column: str, value: Value) -> str:
    """A value of a column as people read it.

    >>> text("share", 0.256), text("spent EUR", Decimal("1234.5")), text("orders", 1234), text("title", None)
    ('25.6 %', '1,234.50', '1,234', '')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value * 100:.1f} %" if column in SHARES or column.startswith("week ") else f"{value:,.2f}"
    if isinstance(value, Decimal):
        return f"{value:,.2f}" if " " in column else f"{value:,}"
    return f"{value:,}" if isinstance(value, int) else value


def share(part: int, whole: int) -> float | None:
    """
    >>> share(1, 4), share(0, 0)
    (0.25, None)
    """
    return round(part / whole, 4) if whole else None


def currencies(figures: Sequence[Figures | Subject | Cell]) -> list[str]:
    """Those in which something was paid, in order."""
    return sorted({currency for each in figures for currency in (*each.spent, *each.refunded)})


def money_columns(known: Sequence[str]) -> list[str]:
    """
    >>> money_columns(["EUR"])
    ['spent EUR', 'refunded EUR']
    """
    return [f"{what} {currency}" for currency in known for what in ("spent", "refunded")]


def money(spent: Amounts, refunded: Amounts, known: Sequence[str]) -> list[Decimal]:
    return [decimal(paid.get(currency, 0)) for currency in known for paid in (spent, refunded)]


def sales(name: str, title: str, of_what: str, found: Mapping[str, Figures]) -> Table:
    """Events, distinct customers, orders and money, a row for each time or place."""
    known = currencies(list(found.values()))
    columns = [of_what, "events", "customers", "buyers", "sessions", "orders", "units", *money_columns(known)]
    rows: list[list[Value]] = [
        [
            label.removeprefix(f"{of_what}:"),
            sum(each.kinds.values()),
            each.customers.seen,
            each.customers.bought,
            each.sessions.seen,
            each.kinds.get(Kind.PURCHASE, 0),
            decimal(each.units),
            *money(each.spent, each.refunded, known),
        ]
        for label, each in found.items()
    ]
    return Table(name, title, columns, rows)


def foremost(found: Mapping[str, Figures]) -> dict[str, Figures]:
    """Those that brought most first; those with most events where nothing was paid, then by name.

    >>> list(foremost({"source:ios": Figures(), "source:web": Figures(spent={"EUR": 5})}))
    ['source:web', 'source:ios']
    """
    order = sorted(found, key=lambda name: (-_worth(found[name]), -sum(found[name].kinds.values()), name))
    return {name: found[name] for name in order}


def hours(found: Mapping[str, Hour]) -> Table:
    """An hour a row."""
    whole = {name: [*hour.minutes.values()] for name, hour in found.items()}
    known = sorted({currency for minutes in whole.values() for each in minutes for currency in each.spent})
    rows: list[list[Value]] = []
    for name, each in whole.items():
        spent: Amounts = {}
        for minute in each:
            add_all(spent, minute.spent)
        events, orders = sum(minute.events for minute in each), sum(minute.orders for minute in each)
        rows.append([name, events, found[name].customers, orders, *(decimal(spent.get(currency, 0)) for currency in known)])
    return Table("hours", "Hours", ["hour", "events", "customers", "orders", *(f"spent {c}" for c in known)], rows)


def minutes(found: Mapping[str, Hour]) -> Table:
    """A minute a row."""
    known = sorted({c for hour in found.values() for minute in hour.minutes.values() for c in minute.spent})
    rows: list[list[Value]] = [
        [f"{name}:{at:02}", each.events, each.customers, each.orders, *(decimal(each.spent.get(c, 0)) for c in known)]
        for name, hour in found.items()
        for at, each in sorted(hour.minutes.items())
    ]
    return Table("minutes", "Minutes", ["minute", "events", "customers", "orders", *(f"spent {c}" for c in known)], rows)


FUNNEL = ["seen", "viewed", "carted", "bought", "conversion", "cart abandonment"]


def funnel(of_what: str, found: Mapping[str, Figures]) -> Table:
    """How far sessions, and customers, came: any step counts, whatever came before it."""
    rows = [
        [label.removeprefix(f"{of_what}:"), by, *steps(reach)]
        for label, each in found.items()
        for by, reach in (("sessions", each.sessions), ("customers", each.customers))
    ]
    title = "From view to purchase" if of_what == "all" else f"From view to purchase by {of_what}"
    return Table("funnel", title, [of_what, "by", *FUNNEL], rows)


def steps(reach: Reach) -> list[Value]:
    """Of a place, more may have bought there than were seen there first; that is no share.

    >>> steps(Reach(seen=10, viewed=8, carted=4, bought=2, both=1))
    [10, 8, 4, 2, 0.2, 0.75]
    >>> steps(Reach(seen=3, viewed=3, carted=3, bought=6, both=6))
    [3, 3, 3, 6, None, None]
    """
    conversion = share(reach.bought, reach.seen) if reach.bought <= reach.seen else None
    abandoned = share(reach.carted - reach.both, reach.carted) if reach.both <= reach.carted else None
    return [reach.seen, reach.viewed, reach.carted, reach.bought, conversion, abandoned]


def cohorts(weeks: Mapping[int, Week]) -> Table:
    """A row for each cohort in each of its weeks; `retention` is the share of its customers who bought in that week."""
    cells = {(cohort, week): cell for week, each in weeks.items() for cohort, cell in each.cohorts.items()}
    known = currencies(list(cells.values()))
    rows = []
    for (cohort, week), cell in sorted(cells.items()):
        size = cells[cohort, cohort].buyers if (cohort, cohort) in cells else 0
        label, paid = day_name(monday(cohort)), money(cell.spent, cell.refunded, known)
        rows.append([label, week - cohort, size, cell.buyers, share(cell.buyers, size), cell.orders, *paid])
    columns = ["first order in the week of", "week", "customers", "buyers", "retention", "orders", *money_columns(known)]
    return Table("cohorts", "Cohorts", columns, rows)


def subjects(name: str, title: str, of_what: str, found: Mapping[str, Subject], titles: Mapping[str, str]) -> Table:
    """The items, or categories, that brought most; by events where nothing was paid."""
    known = currencies(list(found.values()))
    order = sorted(found, key=lambda each: (-_worth(found[each]), -sum(found[each].kinds.values()), each))[:MOST_ROWS]
    columns = [of_what, "title", "views", "carts", "orders", "buyers", "units", "orders a view", *money_columns(known)]
    return Table(name, title, columns, [_subject(each, titles.get(each), found[each], known) for each in order])


def _subject(name: str, title: str | None, each: Subject, known: Sequence[str]) -> list[Value]:
    views = each.kinds.get(Kind.BROWSE, 0) + each.kinds.get(Kind.CLICK, 0)
    orders = each.kinds.get(Kind.PURCHASE, 0)
    carts, paid = each.kinds.get(Kind.ADD_TO_CART, 0), money(each.spent, each.refunded, known)
    return [name, title, views, carts, orders, each.buyers, decimal(each.units), share(orders, views), *paid]


def _worth(each: Figures | Subject) -> int:
    return sum(each.spent.values()) - sum(each.refunded.values())


def searches(found: Mapping[str, Subject]) -> Table:
    """What is searched for most."""
    order = sorted(found, key=lambda each: (-sum(found[each].kinds.values()), each))[:MOST_ROWS]
    return Table("searches", "Searches", ["search", "events"], [[each, sum(found[each].kinds.values())] for each in order])


def rising(name: str, title: str, of_what: str, found: Mapping[str, Subject], titles: Mapping[str, str]) -> Table:
    """What has more events in the last seven days up to the newest than in the seven before, and is least likely to by chance.

    The order is that of (n − m) / √(n + m): how many standard deviations two Poisson counts of the same mean are apart.
    """
    today = max((each.newest for each in found.values()), default=FIRST_DAY)
    counts = {each: (_last_week(subject, today), _last_week(subject, today - WEEK_DAYS)) for each, subject in found.items()}
    grown = {each: (now - before) / sqrt(now + before) for each, (now, before) in counts.items() if now > before}
    order = sorted(grown, key=lambda each: (-grown[each], each))[:MOST_ROWS]
    columns = [of_what, "title", "events in 7 days", "in the 7 before", "standard deviations"]
    return Table(name, title, columns, [[each, titles.get(each), *counts[each], round(grown[each], 2)] for each in order])


def _last_week(each: Subject, last: int) -> int:
    return sum(count for day, count in each.recent.items() if last - WEEK_DAYS < day <= last)


def by_category(items: Mapping[str, Subject], categories: Mapping[str, Sequence[str]]) -> dict[str, Subject]:
    """Items added up by category; one in several categories counts in each. A customer who buys two items counts twice.

    >>> sorted(by_category({"a": Subject(), "b": Subject()}, {"a": ["Home", "Gifts"]}))
    ['Gifts', 'Home']
    """
    found: dict[str, Subject] = {}
    for item, each in items.items():
        for category in categories.get(item, ()):
            found.setdefault(category, Subject()).merge(each)
    return found


def retention(found: Table, most: int = 12) -> Table:
    """Cohorts as a triangle: a cohort a row, and the share of it that bought, week by week.

    >>> cells = {1: Week({1: Cell(buyers=4)}), 2: Week({1: Cell(buyers=1), 2: Cell(buyers=3)})}
    >>> retention(cohorts(cells)).rows
    [['1970-01-05', 4, 1.0, 0.25], ['1970-01-12', 3, 1.0, None]]
    """
    cells = {(row[0], row[1]): row for row in found.rows}
    weeks = [week for week in sorted({row[1] for row in found.rows if isinstance(row[1], int)}) if 0 <= week <= most]
    rows: list[list[Value]] = []
    for cohort in sorted({str(row[0]) for row in found.rows}):
        size = next(row[2] for row in found.rows if row[0] == cohort)
        rows.append([cohort, size, *(cells[cohort, week][4] if (cohort, week) in cells else None for week in weeks)])
    title = "Customers who buy again, by the week of their first order"
    return Table("cohorts", title, ["cohort", "customers", *(f"week {n}" for n in weeks)], rows)
