"""What pandas makes of Online Retail's own columns: the shop's figures, by nothing of Freshet's. Amounts in millionths."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.retail_moves import moves

MOST_LINES = 500
"""Of one event, by the contract."""
FIFTHS = (0.2, 0.4, 0.6, 0.8)
Figures = dict[str, dict[str, int]]
"""By name of a month, country or product: figures by their name."""


class Truth(NamedTuple):
    """What the file says."""

    lines: int
    """All of the file."""
    invoices: int
    """Of purchases, by their numbers."""
    months: Figures
    countries: Figures
    """By the names that the file has."""
    products: Figures
    cohorts: dict[tuple[str, str], dict[str, int]]
    """By the Mondays of the week of the first order and of the week."""
    customers: pd.DataFrame
    """Of those who bought: `recency`, `frequency` and `monetary`, from 1 to 5; `amount`, and `edges` of it beside."""
    edges: list[float]
    """Between the fifths of amounts."""
    moves: Figures
    """By day, from which segment to which."""


def truth(file: Path) -> Truth:
    """Reads the whole file; left out is what `freshet replay --format online-retail` says it leaves out."""
    table = pd.read_csv(file, dtype={"InvoiceNo": str, "StockCode": str, "CustomerID": str}, parse_dates=["InvoiceDate"])
    whole = len(table)
    cancelled = table.InvoiceNo.str.startswith("C")
    is_product = table.StockCode.str.match(r"[0-9]{5}") & (table.UnitPrice > 0)
    table = table[table.CustomerID.notna() & is_product & ((table.Quantity < 0) == cancelled) & (table.Quantity != 0)].copy()
    table["product"] = table.StockCode.str.upper()
    table["units"] = table.Quantity.abs()
    table["amount"] = (table.UnitPrice * 1e6).round().astype("int64") * table.units
    table["bought"] = ~table.InvoiceNo.str.startswith("C")
    run = ((table.InvoiceNo != table.InvoiceNo.shift()) | (table.CustomerID != table.CustomerID.shift())).cumsum()
    part = table.groupby(run).cumcount() // MOST_LINES
    events = table.groupby([run, part], sort=False)
    table["event"] = events.ngroup()
    table["time"] = events.InvoiceDate.transform("first")
    table["country"] = events.Country.transform("first")
    table["month"] = table.time.dt.strftime("%Y-%m")
    table["monday"] = (table.time - pd.to_timedelta(table.time.dt.day_of_week, unit="D")).dt.strftime("%Y-%m-%d")
    purchases = table[table.bought]
    return Truth(
        whole,
        purchases.InvoiceNo.nunique(),
        by(table, "month"),
        by(table, "country"),
        by(table, "product"),
        cohorts(table),
        *fifths(table, purchases),
        moves(table),
    )


def by(table: pd.DataFrame, name: str) -> Figures:
    """Figures of each value of a column."""
    bought, refunded = table[table.bought].groupby(name), table[~table.bought].groupby(name)
    found = pd.DataFrame(
        {
            "orders": bought.event.nunique(),
            "buyers": bought.CustomerID.nunique(),
            "units": bought.units.sum(),
            "spent": bought.amount.sum(),
            "refunded": refunded.amount.sum(),
            "customers": table.groupby(name).CustomerID.nunique(),
        }
    )
    return {str(key): row for key, row in found.fillna(0).astype("int64").to_dict("index").items()}  # type: ignore[misc]


def cohorts(table: pd.DataFrame) -> dict[tuple[str, str], dict[str, int]]:
    """Of each cohort in each week; a refund counts from the customer's first order on."""
    first = table[table.bought].groupby("CustomerID").agg(since=("event", "min"), cohort=("monday", "first"))
    table = table.join(first, on="CustomerID")
    table = table[table.event >= table.since]
    bought, refunded = (table[table.bought == which].groupby(["cohort", "monday"]) for which in (True, False))
    found = pd.DataFrame(
        {
            "buyers": bought.CustomerID.nunique(),
            "orders": bought.event.nunique(),
            "spent": bought.amount.sum(),
            "refunded": refunded.amount.sum(),
        }
    )
    return dict(found.fillna(0).astype("int64").to_dict("index").items())  # type: ignore[arg-type]


def fifths(table: pd.DataFrame, purchases: pd.DataFrame) -> tuple[pd.DataFrame, list[float]]:
    """The scores of all who bought, and what parts the fifths of amounts."""
    customers = purchases.groupby("CustomerID").agg(last=("time", "max"), orders=("event", "nunique"), spent=("amount", "sum"))
    refunded = table[~table.bought].groupby("CustomerID").amount.sum()
    customers["amount"] = (customers.spent - refunded.reindex(customers.index).fillna(0)) / 1e6
    days = (customers["last"].max().normalize() - customers["last"].dt.normalize()).dt.days
    customers["recency"] = pd.qcut(days, 5, labels=[5, 4, 3, 2, 1]).astype(int)
    customers["monetary"], edges = pd.qcut(customers.amount, 5, labels=[1, 2, 3, 4, 5], retbins=True)
    # qcut refuses fifths of which some begin and end with the same number, so the edges are pandas' and the rest is ours.
    least = customers.orders.quantile(list(FIFTHS))
    customers["frequency"] = 1 + sum((customers.orders > edge).astype(int) for edge in least)
    return customers, edges[1:-1].tolist()
