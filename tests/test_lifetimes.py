"""How long customers stay: the published figures of the model, its formulas by integration, and what the commands tell."""

import asyncio
import csv
import gzip
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from oracle import Record
from scipy.special import hyp2f1, roots_genlaguerre, roots_jacobi
from strategies import NOW_MS, encoded
from test_laws import KEYS, chunk

from recsys.calendar import day_name
from recsys.connection import open_client
from recsys.customers import account, bgnbd, lifetime, message
from recsys.customers.account import Account
from recsys.customers.bgnbd import Orders, Parameters
from recsys.customers.days import DAY_MS, NO_DAYS, Days, each_day, with_day
from recsys.customers.lifetime import CannotFit
from recsys.customers.outlook import Fitted, Outlook, Rhythm, Unreadable, outlooks, pack
from recsys.engine import Engine
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.cli import main
from streams.settings import Settings

CDNOW = Path(__file__).with_name("cdnow.csv.gz")
"""Of each customer of CDNOW's sample the three numbers, in weeks, as Bruce Hardie published them with the paper."""
TODAY = 20_000


def cdnow() -> Orders:
    with gzip.open(CDNOW, "rt") as text:
        rows = [[float(row[name]) for name in Orders._fields] for row in csv.DictReader(text)]
    return Orders(*np.array(rows).T)


def test_the_parameters_of_cdnow_are_those_of_the_paper() -> None:
    sample = cdnow()
    found = lifetime.fit(sample)
    assert len(sample.age) == 2357
    assert found == pytest.approx(Parameters(0.243, 4.414, 0.793, 2.426), abs=6e-4)
    assert lifetime.log_likelihood(found, sample) == pytest.approx(-9582.4, abs=0.05)


def integrated(of: Parameters, x: int, last: float, age: float, within: float) -> tuple[float, float, float]:
    """The likelihood, the probability to be there still, and the orders to come, by quadrature over all rates and probabilities
    to leave, from what the model says of one customer."""
    node, weight = roots_jacobi(80, of.b - 1, of.a - 1)
    p, of_p = (1 + node) / 2, weight / weight.sum()
    unit, of_unit = roots_genlaguerre(80, of.r - 1)
    share = of_unit / of_unit.sum()

    def over_rates(until: float, to_come: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """For each p the mean over λ of λ^x e^(−λ until), times the orders to come where some are asked for."""
        rate = unit[:, None] / (of.alpha + until)
        come = -np.expm1(-rate * p * to_come) / p if to_come else 1.0
        scale = (of.alpha / (of.alpha + until)) ** of.r
        mean: np.ndarray[tuple[int], np.dtype[np.float64]] = (share[:, None] * rate**x * come).sum(axis=0) * scale
        return mean

    there = float((of_p * (1 - p) ** x * over_rates(age, 0.0)).sum())
    gone = float((of_p * p * (1 - p) ** (x - 1) * over_rates(last, 0.0)).sum()) if x else 0.0
    come = float((of_p * (1 - p) ** x * over_rates(age, within)).sum())
    return there + gone, there / (there + gone), come / (there + gone)


SOME = st.builds(Parameters, st.floats(0.3, 3), st.floats(2, 60), st.floats(0.3, 3), st.floats(0.5, 5))


@settings(max_examples=60)
@given(SOME, st.integers(0, 12), st.floats(0, 1), st.floats(1, 50), st.floats(1, 50))
@example(Parameters(1.0, 2.0, 0.5, 0.5), 0, 0.0, 1.0, 1.0)
def test_the_formulas_are_what_integration_over_all_customers_gives(
    of: Parameters, x: int, part: float, age: float, within: float
) -> None:
    last = part * age if x else 0.0
    known = Orders(*np.array([[float(x)], [last], [age]]))
    likely, there, come = integrated(of, x, last, age, within)
    assert lifetime.log_likelihood(of, known) == pytest.approx(np.log(likely), abs=1e-6)
    assert bgnbd.alive(of, known)[0] == pytest.approx(there, rel=1e-6)
    assert bgnbd.expected_orders(of, known, within)[0] == pytest.approx(come, rel=1e-5)


def test_customers_with_thousands_of_orders_have_numbers_too() -> None:
    known = Orders(*np.array([[2000.0, 2000.0], [2999.0, 2900.0], [3000.0, 3000.0]]))
    of = Parameters(0.243, 4.414, 0.793, 2.426)
    assert bgnbd.alive(of, known) == pytest.approx([1.0, 0.0], abs=1e-3)
    assert bgnbd.expected_orders(of, known, 90.0) == pytest.approx([59.0, 0.0], abs=1.0)


def shop(customers: int, of: Parameters, days: int = 700) -> list[Days]:
    """Customers as the model has them, until `TODAY`."""
    random = np.random.default_rng(7)
    everybody = []
    for _ in range(customers):
        rate, leaving = random.gamma(of.r, 1 / of.alpha), random.beta(of.a, of.b)
        at = TODAY - random.uniform(0, days)
        theirs = NO_DAYS
        while at <= TODAY:
            theirs = with_day(theirs, int(at))
            at += np.inf if theirs.first != int(at) and random.random() < leaving else random.exponential(1 / rate)
        everybody.append(theirs)
    return everybody


SHOP = shop(1500, Parameters(1.5, 60.0, 1.0, 4.0))


def test_what_is_expected_of_a_shop_that_is_like_the_model_comes() -> None:
    checked = lifetime.check(SHOP, TODAY)
    assert checked.came > 500
    assert checked.expected == pytest.approx(checked.came, rel=0.1)
    assert checked.customers == sum(days.first <= TODAY - checked.days for days in SHOP)


def test_online_retails_customers_hardly_ever_leave(data_dir: Path) -> None:
    answer = run({}, "lifetimes", str(data_dir / "online_retail.csv.gz"), "--format", "online-retail", "--dry-run", "--json")
    found = json.loads(answer.stdout)["fitted"]
    assert (found["customers"], found["until"]) == (4334, "2011-12-09")
    # What the package lifetimes 0.11.3 finds; it stops a little earlier in a valley along which a and b rise together.
    assert found["r"] == pytest.approx(0.82293, rel=1e-4)
    assert found["alpha"] == pytest.approx(69.0908, rel=1e-4)
    assert found["a"] == pytest.approx(0.003097, rel=1e-2)
    assert found["b"] == pytest.approx(7.2490, rel=1e-2)


def test_of_few_customers_nothing_is_told() -> None:
    with pytest.raises(CannotFit, match=r"^0 customers ordered on more than one day"):
        lifetime.fit(lifetime.orders([with_day(NO_DAYS, 1)] * 500, TODAY))


def test_customers_who_are_all_alike_and_never_leave_can_be_told_of_too() -> None:
    clockwork = NO_DAYS
    for day in range(TODAY - 400, TODAY + 1, 10):
        clockwork = with_day(clockwork, day)
    known = lifetime.orders([clockwork] * 200, TODAY)
    of = lifetime.fit(known)
    assert bgnbd.alive(of, known)[0] > 0.99
    assert bgnbd.expected_orders(of, known, 90.0)[0] == pytest.approx(9, rel=0.05)


FITTED = Fitted(1.5, 60.0, 1.0, 4.0, 1500, 900, day_name(TODAY), -1.0)


def outlook(fitted: Fitted, *days: int, last_seen: int = TODAY) -> Outlook:
    """That of one with an order on each of these days, in order."""
    return outlooks(fitted, [Rhythm(len(days), days[0], days[-1], last_seen)])[0]


def test_an_outlook_is_as_of_the_newest_event_that_is_known() -> None:
    rhythm = range(TODAY - 300, TODAY - 20, 10)
    of_the_fit = outlook(FITTED, *rhythm, last_seen=TODAY - 25)
    of_the_customer = outlook(FITTED, *rhythm, last_seen=TODAY + 200)
    assert (of_the_fit.as_of, of_the_customer.as_of) == (day_name(TODAY), day_name(TODAY + 200))
    assert (of_the_fit.alive > 0.7, of_the_customer.alive < 0.1) == (True, True)
    assert (of_the_fit.expected_orders_90_days > 3, of_the_customer.expected_orders_90_days < 0.3) == (True, True)
    assert day_name(TODAY) < str(of_the_fit.next_order) < day_name(TODAY + 30)


def test_who_ordered_once_is_alive() -> None:
    once = outlook(FITTED, TODAY - 300)
    assert (once.alive, once.expected_orders_90_days < 0.5) == (1.0, True)


def test_what_is_expected_of_cdnows_customers_is_what_the_formula_as_printed_says() -> None:
    sample, of = cdnow(), Parameters(0.243, 4.414, 0.793, 2.426)
    x, _, age = sample
    ahead = 39 / (of.alpha + age + 39)
    series = hyp2f1(of.r + x, of.b + x, of.a + of.b + x - 1, ahead)
    printed = (of.a + of.b + x - 1) / (of.a - 1) * (1 - (1 - ahead) ** (of.r + x) * series) * bgnbd.alive(of, sample)
    assert bgnbd.expected_orders(of, sample, 39.0) == pytest.approx(printed, rel=1e-9)


def test_whatever_is_fitted_what_is_expected_is_a_number_and_scipys_wherever_that_gives_one() -> None:
    random = np.random.default_rng(3)
    for _ in range(1000):
        r, alpha, a, b = np.exp(random.uniform(*lifetime.LOG_BOUNDS, 4)).tolist()
        of, age = Parameters(r, 365 * alpha, a, b), random.integers(0, 366, 20).astype(float)
        x = np.floor(age * random.uniform(0, 0.5, 20))
        known = Orders(x, age * random.uniform(0, 1, 20), age)
        ahead, c = 90 / (of.alpha + age + 90), a + b + x - 1
        with np.errstate(all="ignore"):
            euler = (1 - ahead) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, c, ahead)
            printed = (1 - ahead) ** (r + x) * hyp2f1(r + x, b + x, c, ahead)
            theirs = c / (a - 1) * (1 - np.where(np.isfinite(euler), euler, printed)) * bgnbd.alive(of, known)
        ours, there = bgnbd.expected_orders(of, known, 90.0), np.isfinite(theirs)
        assert ours[there] == pytest.approx(theirs[there], rel=1e-4, abs=1e-4)
        assert np.isfinite(ours).all()


def test_the_outlook_of_cdnows_customer_1516_is_the_published_one() -> None:
    # Two repeat orders, the last after 30.43 of 38.86 weeks: alive 0.7266 (Hardie, 2008, "Computing P(alive) using the BG/NBD
    # model"), and 1.226 orders expected in the next 39 weeks; in the next 90 days by the same formula.
    weeks, known = Parameters(0.243, 4.414, 0.793, 2.426), Orders(*np.array([[2.0], [30.43], [38.86]]))
    said = outlook(replace(FITTED, r=0.243, alpha=7 * 4.414, a=0.793, b=2.426), TODAY - 272, TODAY - 100, TODAY - 59)
    assert bgnbd.expected_orders(weeks, known, 39.0)[0] == pytest.approx(1.226, abs=5e-4)
    assert said.alive == pytest.approx(0.7266, abs=2e-4)
    assert said.expected_orders_90_days == pytest.approx(bgnbd.expected_orders(weeks, known, 90 / 7)[0], abs=1e-3)


# In messages


def told(store: MemoryStore, *events: tuple[str, str, int]) -> dict[str, Outlook | None]:
    """By user, what the messages on these events say: user, type, day."""
    engine = Engine(store, KEYS, Rules())
    log = [
        Record(0, n, NOW_MS, None, encoded({"event_type": kind, "user_id": user, "item_id": "a", "event_time": day * DAY_MS}))
        for n, (user, kind, day) in enumerate(events)
    ]

    async def messages() -> dict[str, Outlook | None]:
        counted = await engine.count(chunk(0, 0, len(log) - 1, log, 1))
        return {known.user: said.outlook for known, said in await engine.customers(counted)}

    return asyncio.run(messages())


def test_a_message_tells_the_outlook_of_one_who_ordered_once_there_is_a_fit() -> None:
    events = [("a", "order", TODAY - 90), ("b", "view", TODAY), ("a", "order", TODAY - 30), ("a", "view", TODAY + 9)]
    assert told(MemoryStore(), *events) == {"a": None, "b": None}
    store = MemoryStore()
    store.values[KEYS.lifetimes] = pack(FITTED)
    expected = outlook(FITTED, TODAY - 90, TODAY - 30, last_seen=TODAY + 9)
    assert told(store, *events) == {"a": expected, "b": None}


def test_a_worker_ends_by_a_fit_that_it_cannot_read_and_says_what_to_do() -> None:
    store = MemoryStore()
    store.values[KEYS.lifetimes] = b"{}"
    with pytest.raises(Unreadable, match="run freshet lifetimes"):
        told(store, ("a", "order", TODAY))


# On the command line


def run(variables: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env=variables)


@pytest.fixture
def known(namespace: Settings) -> Settings:
    """A state that has the accounts of all customers of `SHOP`, and what is told of the first."""
    keys = Keys(namespace.key_prefix)
    with open_client(namespace.redis) as client:
        for n, days in enumerate(SHOP):
            kept = Account(orders=1, order_days=days, kinds={5: 1}, last_ms=days.last * DAY_MS)
            client.set(keys.account(n % 3, f"u{n}"), account.pack(kept))
            if n == 0:
                client.set(keys.customer("u0"), message.encode(message.customer("u0", kept, kept.last_ms, None, None)))
        client.set(keys.account(0, "looks only"), account.pack(Account(kinds={1: 1}, last_ms=TODAY * DAY_MS)))
    return namespace


def test_what_is_fitted_to_accounts_is_kept_and_told_of_each_customer(known: Settings, variables: Mapping[str, str]) -> None:
    before = run(variables, "customer", "u0", "--json")
    assert "outlook" not in json.loads(before.stdout)
    tried = run(variables, "lifetimes", "--json", "--dry-run")
    assert "outlook" not in json.loads(run(variables, "customer", "u0", "--json").stdout)
    fitted = run(variables, "lifetimes", "--json")
    assert (fitted.exit_code, fitted.stdout) == (0, tried.stdout)
    assert "are forgotten and not in this" in fitted.stderr
    assert json.loads(fitted.stdout)["fitted"]["customers"] == len(SHOP)
    assert json.loads(fitted.stdout)["fitted"]["until"] == day_name(TODAY)
    with open_client(known.redis) as client:
        assert 0 < client.ttl(Keys(known.key_prefix).lifetimes) <= 90 * 86_400

    said = json.loads(run(variables, "customer", "u0", "--json").stdout)
    kept = msgspec.convert(json.loads(fitted.stdout)["fitted"], Fitted)
    expected = outlook(kept, *each_day(SHOP[0]), last_seen=SHOP[0].last)
    assert said == json.loads(before.stdout) | {"outlook": msgspec.to_builtins(expected)}
    table = run(variables, "customer", "u0").stdout
    assert all(words in table for words in ("% to order ever again", "in the next 90 days"))
    assert "log-likelihood" in run(variables, "lifetimes").stdout


@pytest.mark.usefixtures("known")
def test_a_file_of_all_orders_says_the_same_as_the_accounts(variables: Mapping[str, str], tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    with file.open("w") as out:
        for n, days in enumerate(SHOP):
            for day in each_day(days, TODAY):
                order = {"event_type": "order", "user_id": n, "item_id": 1, "event_time": day * DAY_MS}
                out.write(json.dumps(order) + "\n")
        out.write(json.dumps({"event_type": "view", "user_id": 1, "item_id": 1, "event_time": TODAY * DAY_MS}) + "\n")
    of_file = run(variables, "lifetimes", str(file), "--format", "jsonl", "--json")
    assert of_file.exit_code == 0
    assert of_file.stdout == run(variables, "lifetimes", "--json", "--dry-run").stdout
    assert "outlook" in json.loads(run(variables, "customer", "u0", "--json").stdout)


def test_without_scipy_it_is_said_how_to_get_it_and_the_rest_is_shown(
    known: Settings, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_client(known.redis) as client:
        client.set(Keys(known.key_prefix).lifetimes, b"whatever")
    monkeypatch.setitem(sys.modules, "scipy", None)
    fitted = run(variables, "lifetimes")
    assert (fitted.exit_code, len(fitted.stderr.splitlines())) == (1, 1)
    assert "pip install 'freshet[lifetimes]'" in fitted.stderr
    shown = run(variables, "customer", "u0", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["user_id"]) == (0, "u0")
    assert "run freshet lifetimes" in shown.stderr


def test_few_orders_are_refused_in_one_line(variables: Mapping[str, str]) -> None:
    answer = run(variables, "lifetimes")
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (1, 1)
    assert "at least 100 are needed" in answer.stderr
