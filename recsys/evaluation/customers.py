"""The customers of a file: what they hold, and how it sells, as far as it says what they will hardly ever buy again.

An evaluation of the next item counts purchases only where `FRESHET_HIDE` has `once`, by the functions that a worker's user
shards call, and hides by `recsys.returning.once`.
"""

from typing import NamedTuple

import numpy as np

from recsys.compiled import I64, U64, Bools, compiled
from recsys.evaluation.events import Events
from recsys.fold import PURCHASE
from recsys.index import Index, find
from recsys.returning import purchases, repurchase, sales
from recsys.returning.basket_fold import Deltas, Lines, count_event, no_deltas
from recsys.returning.once import once_of_user
from recsys.returning.purchases import HELD, Purchases
from recsys.returning.repurchase import Repurchase
from recsys.returning.sales import BOUGHT_AGAIN, EXPOSED, Sales, add

NOBODY = -1


class Customers(NamedTuple):
    """Those who buy, in places of their own."""

    lines: Lines
    """Of the file; the user is the place, `NOBODY` for one who never buys."""
    purchases: Purchases
    tables: Repurchase
    sales: Sales
    """By item number."""
    told: Deltas
    """Room for what an event tells of sales."""
    bought: I64
    """How many lines were bought, and how many of them again."""


def customers(events: Events, counting: bool) -> Customers:
    """The customers of a file before its first event; nobody where nothing is to be counted."""
    batch = events.batch
    who = np.unique(batch.user[batch.kind == PURCHASE]) if counting else np.empty(0, np.int32)
    place = np.full(events.users, NOBODY, np.int32)
    place[who] = np.arange(len(who))
    starts = np.flatnonzero(batch.opens)
    longest = int(np.diff(np.append(starts, len(batch.item))).max(initial=0))
    return Customers(
        Lines(
            place[batch.user], batch.item, batch.session, batch.time, batch.kind, batch.partition, batch.offset, batch.opens,
            np.zeros(len(batch.item), np.bool_),
        ),
        purchases.empty(len(who)),
        repurchase.empty(1),
        sales.empty(len(events.items)),
        no_deltas(HELD + longest),
        np.zeros(2, np.int64),
    )  # fmt: skip


@compiled
def buy(c: Customers, begin: int, end: int, changed: Bools, counted: bool, where: Index, gap_ms: float) -> None:
    """Counts the event of lines `begin` to `end`; `changed` says which of them changed their history.

    What is not `counted` says nothing of sales: only its user knows.
    """
    if c.lines.user[begin] == NOBODY:
        return
    for k in range(begin, end):
        c.lines.counts[k] = changed[k - begin]
    used = count_event(c.purchases, c.tables, 0, c.lines, begin, end, c.told, 0, gap_ms)
    if not counted:
        return
    for d in range(used):
        what = c.told.what[d]
        add(c.sales, find(where, c.told.item[d]), c.told.time[d], what, c.told.weight[d])
        c.bought[0] += what != EXPOSED
        c.bought[1] += what == BOUGHT_AGAIN


@compiled
def hide_once(c: Customers, line: int, now: int, where: Index, left_out: U64) -> None:
    """Fills `left_out` with what the user of a line holds at event time `now` and will hardly ever buy again."""
    left_out[:] = 0
    u = c.lines.user[line]
    if u != NOBODY:
        once_of_user(c.purchases, u, now, c.sales, where, c.bought[1] / max(c.bought[0], 1), left_out)
