"""What is counted of returning customers, against a recount in plain Python; where batches are cut; what is stored."""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from returning_oracle import DAY, GAP, Bought, Recount, faded

from recsys import histories
from recsys.batch import Arrival, columns
from recsys.events import EARLIEST_MS, LATEST_MS, Event, Kind, Line
from recsys.fold import fold
from recsys.returning import basket_fold, purchases, repurchase, sales
from recsys.returning.basket_fold import Lines
from recsys.returning.purchases import HALF_LIFE_60_MS, HALF_LIFE_200_MS, HELD, MOST, Purchases, fade
from recsys.returning.repurchase import Repurchase
from recsys.returning.sales import Sales
from recsys.rules import Rules

NOW = 1_700_000_000_000
USERS = 3


class State(NamedTuple):
    """What a partition and the items have."""

    purchases: Purchases
    tables: Repurchase
    sales: Sales


def lines_of(events: Sequence[Bought], first_offset: int = 0) -> Lines:
    """Events as the columns of a batch."""
    rows = [
        (e.user, i, e.session, e.time, Kind.REFUND if e.refund else Kind.PURCHASE, 0, offset, place == 0, not e.repeated)
        for offset, e in enumerate(events, first_offset)
        for place, i in enumerate(e.items)
    ]
    types = (np.int32, np.uint64, np.uint64, np.int64, np.uint8, np.int32, np.int64, np.bool_, np.bool_)
    return Lines(*(np.array([row[c] for row in rows], kind) for c, kind in enumerate(types)))


def start(items: int) -> State:
    return State(purchases.empty(USERS), repurchase.empty(1), sales.empty(items + 1))


def counted(state: State, events: Sequence[Bought], first_offset: int = 0) -> basket_fold.Deltas:
    """Counts a batch into the state; an item's place among the sales is its number."""
    table = np.zeros(USERS, np.int32)
    deltas = basket_fold.count(state.purchases, state.tables, table, lines_of(events, first_offset), float(GAP))
    sales.merge(state.sales, deltas.time, deltas.what, deltas.weight, deltas.item.astype(np.int64))
    return deltas


def stored(state: State) -> State:
    """The state as it is read again from its stored bytes."""
    return State(
        purchases.unpack([purchases.pack(state.purchases, user) for user in range(USERS)]),
        repurchase.unpack([repurchase.pack(state.tables, 0)]),
        sales.unpack([sales.pack(state.sales, item) for item in range(len(state.sales.n))]),
    )


def flat(state: State) -> dict[str, Any]:
    return {f"{part}.{name}": column for part in State._fields for name, column in getattr(state, part)._asdict().items()}


def recounted(events: Sequence[Bought]) -> Recount:
    recount = Recount()
    for event in events:
        recount.take(event)
    return recount


@st.composite
def streams(draw: st.DrawFn, items: int = 6, longest: int = 60) -> list[Bought]:
    """Events of a few users, baskets and single lines, repeats and refunds, now and then late or long after."""
    now = NOW
    found = []
    for _ in range(draw(st.integers(1, longest))):
        now += draw(st.sampled_from([0, 60_000, GAP, GAP + 1, DAY, 9 * DAY, -5 * DAY]))
        several = draw(st.sampled_from([1, 1, 1, 2, 3, 5]))
        bought = [draw(st.integers(1, items)) for _ in range(several)]
        session = draw(st.sampled_from([0, 0, 1, 2]))
        refund, repeated = draw(st.sampled_from([(False, False)] * 8 + [(True, False), (True, True), (False, True)]))
        found.append(Bought(draw(st.integers(0, USERS - 1)), bought, now, session, refund, repeated))
    return found


def assert_equal_to(recount: Recount, state: State, now: int) -> None:
    """Everything that is counted, seen from `now`, which is after all events."""
    bought = state.purchases
    for user in range(USERS):
        customer = recount.customers[user]
        held = list(customer.held)
        assert bought.item[user, : bought.held[user]].tolist() == held
        assert bought.baskets[user] == customer.baskets
        for h, item in enumerate(held):
            expected = customer.held[item]
            assert bought.k[user, h] == expected.k
            assert bought.basket[user, h] == expected.basket
            assert bought.time[user, h] == max(expected.times)
            since = customer.baskets - expected.basket
            assert bought.fb[user, h] * 0.9**since == pytest.approx(expected.fb(customer.baskets), rel=1e-5)
            for column, half_life, days in ((bought.f60, HALF_LIFE_60_MS, 60), (bought.f200, HALF_LIFE_200_MS, 200)):
                worth = column[user, h] * fade(bought.time[user, h], now, half_life)
                assert worth == pytest.approx(faded(expected.times, now, days), rel=1e-5)
    for k, g in product(range(9), range(9)):
        assert state.tables.exposures[0, k, g] == recount.exposures[k, g]
        assert state.tables.purchases[0, k, g] == recount.purchases[k, g]
    sold = state.sales
    for item in range(1, len(sold.n)):
        expected_sales = recount.sold[item]
        assert sold.observed[item] == expected_sales.observed
        assert sold.expected[item] == pytest.approx(expected_sales.expected)
        assert sold.first[item] == min(expected_sales.times, default=0)
        assert sold.landmark[item] == max(expected_sales.times, default=0)
        for name, times, days in (("n", "times", 90), ("nr", "times", 14), ("nq", "times", 4), ("m", "to_new", 90)):
            worth = getattr(sold, name)[item] * fade(sold.landmark[item], now, days * float(DAY))
            assert worth == pytest.approx(faded(getattr(expected_sales, times), now, days), rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(streams())
def test_counts_are_those_of_a_recount(events: list[Bought]) -> None:
    state = start(6)
    counted(state, events)
    assert_equal_to(recounted(events), state, max(event.time for event in events) + DAY)


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_a_recount_where_more_is_bought_than_is_held(seed: int) -> None:
    random = np.random.default_rng(seed)
    events = []
    for n in range(150):
        size = int(random.integers(1, 40))
        bought = (1 + random.zipf(1.3, size) % 400).tolist()
        events.append(Bought(int(random.integers(USERS)), bought, NOW + n * DAY, refund=random.random() < 0.05))
    state = start(400)
    counted(state, events)
    assert max(state.purchases.held) == HELD
    assert_equal_to(recounted(events), state, NOW + 200 * DAY)


@settings(max_examples=100, deadline=None)
@given(streams(), st.sets(st.integers(1, 59)))
def test_where_batches_are_cut_changes_neither_state_nor_deltas(events: list[Bought], cuts: set[int]) -> None:
    whole = start(6)
    expected = counted(whole, events)
    state = start(6)
    parts = []
    ends = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    for begin, end in pairwise(ends):
        parts.append(counted(state, events[begin:end], begin))
        state = stored(state)
    for name, column in expected._asdict().items():
        assert np.concatenate([getattr(part, name) for part in parts]).tolist() == column.tolist(), name
    found = flat(state)
    for name, column in flat(whole).items():
        assert _filled(whole, name, found[name]) == _filled(whole, name, column), name


def _filled(state: State, name: str, column: Any) -> list[Any]:
    """A column, without the places of held items that are not filled."""
    if name.startswith("purchases") and column.ndim == 2:
        return [column[user, : state.purchases.held[user]].tolist() for user in range(USERS)]
    return list(column.tolist())


def test_each_partition_has_a_table_of_its_own() -> None:
    events = [Bought(0, [1, 2], NOW), Bought(1, [1, 2], NOW), Bought(1, [1, 3], NOW + DAY)]
    tables, held = repurchase.empty(2), purchases.empty(2)
    basket_fold.count(held, tables, np.array([0, 1], np.int32), lines_of(events), float(GAP))
    assert (tables.exposures[0] == 20.0).all()
    assert (tables.exposures[1, 0, 0], tables.purchases[1, 0, 0]) == (22.0, 2.0)


def test_what_an_item_is_told_is_exposed_bought_first_bought_again() -> None:
    deltas = counted(start(3), [Bought(0, [1, 2], NOW), Bought(0, [2, 3, 2], NOW + DAY)])
    told = list(zip(deltas.offset.tolist(), deltas.item.tolist(), deltas.what.tolist(), deltas.weight.tolist(), strict=True))
    first, again, exposed = sales.BOUGHT_FIRST, sales.BOUGHT_AGAIN, sales.EXPOSED
    opened = [(1, 1, exposed, 0.05), (1, 2, exposed, 0.05)]
    assert told == [(0, 1, first, 1.0), (0, 2, first, 1.0), *opened, (1, 2, again, 1.0), (1, 3, first, 1.0)]


def test_single_lines_of_a_session_are_one_basket_and_an_event_of_several_lines_is_always_one() -> None:
    state = start(3)
    counted(state, [Bought(0, [1], NOW, 7), Bought(0, [2], NOW + DAY, 7), Bought(0, [1], NOW + DAY, 7)])
    assert (state.purchases.baskets[0], state.purchases.k[0, 0]) == (1, 1)
    counted(state, [Bought(0, [1, 2], NOW + DAY, 7), Bought(0, [3], NOW + DAY, 7), Bought(0, [1], NOW + DAY, 8)])
    assert state.purchases.baskets[0] == 4


def test_a_refund_takes_one_basket_back_and_the_last_one_takes_the_item() -> None:
    state = start(2)
    counted(state, [Bought(0, [1, 2], NOW), Bought(0, [1, 2], NOW + DAY)])
    before = state.sales.n.tolist()
    counted(state, [Bought(0, [1], NOW + DAY, refund=True), Bought(0, [1], NOW + DAY, refund=True)])
    assert state.purchases.item[0, : state.purchases.held[0]].tolist() == [2]
    assert state.sales.n.tolist() == before


def test_an_event_that_is_told_again_counts_nothing() -> None:
    line = (Line("a"), Line("b"))
    event = Event(kind=Kind.PURCHASE, user_id="u", lines=line, time_ms=NOW, event_id="e1")
    batch = columns([(0, Arrival(0, event)), (0, Arrival(1, event))], ["u"])
    changed = fold(histories.empty(1, 50), batch, Rules()).changed
    held = purchases.empty(1)
    basket_fold.count(held, repurchase.empty(1), np.zeros(1, np.int32), basket_fold.lines(batch, changed), float(GAP))
    assert (held.baskets[0], held.k[0, :2].tolist()) == (1, [1, 1])


WILD = st.sampled_from([EARLIEST_MS, LATEST_MS, NOW, NOW + 1]) | st.integers(EARLIEST_MS, LATEST_MS)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, USERS - 1), st.lists(st.integers(1, 4), min_size=1, max_size=3), WILD), max_size=40))
@example([(0, [1, 2], LATEST_MS), (0, [1, 2], EARLIEST_MS), (0, [2, 1], LATEST_MS)])
def test_nothing_is_too_large_or_no_number_whatever_the_times(events: list[tuple[int, list[int], int]]) -> None:
    state = start(4)
    counted(state, [Bought(*event) for event in events])
    for name, column in flat(state).items():
        assert np.isfinite(column.astype(np.float64)).all(), name
        assert (column >= 0).all(), name
    assert (state.purchases.f200 <= state.purchases.k + 1e-3).all()
    assert (state.sales.n <= len(events) + 1e-6).all()


HELD_ITEM = st.tuples(
    st.integers(1, 2**64 - 1),
    st.integers(1, MOST),
    *[st.floats(0.0, 1e6, width=32)] * 3,
    st.integers(0, LATEST_MS),
    st.integers(1, 2**31 - 1),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(HELD_ITEM, max_size=HELD),
    st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 2**40 - 1), st.integers(0, LATEST_MS), st.booleans()),
)
def test_purchases_come_back_from_their_bytes(items: list[Any], of_user: tuple[Any, ...]) -> None:
    bought = purchases.empty(2)
    for h, item in enumerate(items):
        for name, number in zip(Purchases._fields, item, strict=False):
            getattr(bought, name)[1, h] = number
    bought.held[1] = len(items)
    bought.baskets[1], bought.session[1], bought.newest[1], bought.single[1] = of_user
    packed = purchases.pack(bought, 1)
    assert len(packed) == purchases.HEADER.size + purchases.BYTES_PER_ITEM * len(items)
    again = purchases.unpack([None, packed])
    for name in Purchases._fields:
        np.testing.assert_array_equal(getattr(bought, name), getattr(again, name))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=2), st.lists(st.floats(0, 1e300), min_size=6, max_size=6))
def test_sales_come_back_from_their_bytes(times: list[int], counts: list[float]) -> None:
    sold = sales.empty(2)
    for name, number in zip(Sales._fields, [*times, *counts], strict=True):
        getattr(sold, name)[1] = number
    again = sales.unpack([sales.pack(sold, 1), None, b""])
    assert [getattr(again, name).tolist() for name in Sales._fields] == [[number, 0, 0] for number in [*times, *counts]]


def test_tables_come_back_from_their_bytes() -> None:
    state = start(3)
    counted(state, [Bought(0, [1, 2], NOW), Bought(0, [2, 3], NOW + DAY)])
    again = repurchase.unpack([None, repurchase.pack(state.tables, 0)])
    assert (again.exposures[1] == state.tables.exposures[0]).all()
    assert (again.purchases[1] == state.tables.purchases[0]).all()


def test_bytes_of_another_version_are_refused() -> None:
    state = start(3)
    counted(state, [Bought(0, [1, 2], NOW)])
    for module, packed in (
        (purchases, purchases.pack(state.purchases, 0)),
        (sales, sales.pack(state.sales, 1)),
        (repurchase, repurchase.pack(state.tables, 0)),
    ):
        for value in (b"\x09" + packed[1:], packed[:-1]):
            with pytest.raises(ValueError, match="this version reads 1"):
                module.unpack([value])
