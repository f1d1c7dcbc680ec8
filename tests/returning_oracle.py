"""The recount of returning customers in plain Python: what they hold, what sold, what is expected of their next basket.

Written from the design's words with lists and dicts, without any module of Freshet: a count that fades is the sum over all it
ever counted, not a number that is carried on.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

DAY = 86_400_000
GAP = 1_800_000
HELD = 200
STEPS = [range(1, 2), range(2, 3), range(3, 4), range(4, 5), range(5, 7), range(7, 10), range(10, 15), range(15, 30)]


class Bought(NamedTuple):
    """An event of purchases or refunds; `repeated`: it was counted before."""

    user: int
    items: list[int]
    time: int
    session: int = 0
    refund: bool = False
    repeated: bool = False


def faded(times: Iterable[float], now: float, half_life_days: float) -> float:
    """Σ 2^(−age / half-life), seen from now, or from the newest of them if that is later."""
    times = list(times)
    now = max([now, *times])
    return sum(math.exp2(-(now - time) / (half_life_days * DAY)) for time in times)


def step(number: int) -> int:
    return next((i for i, numbers in enumerate(STEPS) if number in numbers), 8)


@dataclass
class Holding:
    """A held item: its purchases as (basket, time), and how many baskets were not taken back."""

    k: int = 0
    purchases: list[tuple[int, int]] = field(default_factory=list)
    worth: list[tuple[int, float]] = field(default_factory=list)
    """Of several customers `together`: for each the basket of the last purchase, and what the sum by baskets was then."""

    @property
    def times(self) -> list[int]:
        return [time for _, time in self.purchases]

    @property
    def basket(self) -> int:
        return max(basket for basket, _ in self.purchases)

    def fb(self, baskets: int) -> float:
        if self.worth:
            return sum(0.9 ** (baskets - basket) * worth for basket, worth in self.worth)
        return sum(0.9 ** (baskets - basket) for basket, _ in self.purchases)


@dataclass
class Customer:
    held: dict[int, Holding] = field(default_factory=dict)
    """In the order of the last purchase."""
    baskets: int = 0
    last: Bought | None = None


@dataclass
class Sold:
    """Of an item: the times of its sales, those to who did not hold it, O and E."""

    times: list[int] = field(default_factory=list)
    to_new: list[int] = field(default_factory=list)
    observed: float = 0.0
    expected: float = 0.0


class Recount:
    def __init__(self, gap: float = GAP) -> None:
        self._gap = gap
        self.customers: dict[int, Customer] = defaultdict(Customer)
        self.sold: dict[int, Sold] = defaultdict(Sold)
        self.exposures: dict[tuple[int, int], float] = defaultdict(lambda: 20.0)
        self.purchases: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)

    def opens(self, event: Bought) -> bool:
        """Whether a purchase opens a basket."""
        last = self.customers[event.user].last
        if last is None or len(last.items) > 1 or len(event.items) > 1:
            return True
        if last.session and event.session:
            return last.session != event.session
        return abs(last.time - event.time) > self._gap

    def take(self, event: Bought) -> None:
        if event.repeated:
            return
        customer = self.customers[event.user]
        if event.refund:
            for item in event.items:
                if item in customer.held:
                    customer.held[item].k -= 1
                    if not customer.held[item].k:
                        del customer.held[item]
            return
        if self.opens(event):
            customer.baskets += 1
            cells = {item: (step(held.k), step(customer.baskets - held.basket)) for item, held in customer.held.items()}
            chances = {item: min(1.0, self.purchases[cell] / self.exposures[cell]) for item, cell in cells.items()}
            for item, cell in cells.items():
                self.sold[item].expected += chances[item]
                self.exposures[cell] += 1
        customer.last = event
        for item in event.items:
            self._line(customer, item, event.time)

    def _line(self, customer: Customer, item: int, time: int) -> None:
        held = customer.held.get(item)
        if held and held.basket == customer.baskets:
            return
        if held:
            self.purchases[step(held.k), step(customer.baskets - held.basket)] += 1
            self.sold[item].observed += 1
            del customer.held[item]
        else:
            self.sold[item].to_new.append(time)
            if len(customer.held) == HELD:
                worth = {i: (faded(h.times, time, 60), i) for i, h in customer.held.items()}
                del customer.held[min(worth, key=lambda i: worth[i])]
            held = Holding()
        self.sold[item].times.append(time)
        held.k += 1
        held.purchases.append((customer.baskets, time))
        customer.held[item] = held


def together(everybody: Sequence[Customer]) -> Customer:
    """What several customers hold, as one's: each purchase with the number that its user's last basket with the item has among
    all baskets, and what the sum by baskets was worth there."""
    timeline = [(p, number, made(who, number)) for p, who in enumerate(everybody) for number in range(1, who.baskets + 1)]
    found: dict[int, Holding] = {}
    for person, who in enumerate(everybody):
        for item, held in who.held.items():
            moment = made(who, held.basket)
            place = sum(number <= held.basket if p == person else time <= moment for p, number, time in timeline)
            total = found.setdefault(item, Holding())
            total.k += held.k
            total.purchases += [(place, time) for time in held.times]
            total.worth.append((place, held.fb(held.basket)))
    newest = max((max(held.times) for held in found.values()), default=0)
    strongest = sorted(found, key=lambda item: (faded(found[item].times, newest, 60), item))[-HELD:]
    in_order = sorted(strongest, key=lambda item: max(place for place, _ in found[item].purchases))
    return Customer({item: found[item] for item in in_order}, len(timeline))


def made(customer: Customer, basket: int) -> float:
    """When a basket was made, as far as what is held tells."""
    return max((max(held.times) for held in customer.held.values() if held.basket <= basket), default=-math.inf)


class Rows(NamedTuple):
    """Rows without decay: w_xc and n_x."""

    weight: dict[tuple[int, int], float]
    n: dict[int, float]


def evidence(customer: Customer, rows: Rows) -> dict[int, float]:
    """A(c) = Σ over the newest 50 held items x of 0.8^(baskets since) · w_xc / (n_x + 1)."""
    found: dict[int, float] = defaultdict(float)
    for x in list(customer.held)[-50:]:
        for (a, c), weight in rows.weight.items():
            if a == x:
                found[c] += 0.8 ** (customer.baskets - customer.held[x].basket) * weight / (rows.n[x] + 1)
    return found


class Choice(NamedTuple):
    """The candidates of a user, and f(c) of each."""

    features: dict[int, list[float]]

    def scores(self, weights: list[float]) -> dict[int, float]:
        return {c: sum(w * f for w, f in zip(weights, row, strict=True)) for c, row in self.features.items()}

    def ranked(self, weights: list[float]) -> list[int]:
        scores = self.scores(weights)
        return sorted(scores, key=lambda c: (-scores[c], c))

    def probabilities(self, weights: list[float]) -> dict[int, float]:
        scores = self.scores(weights)
        together = sum(map(math.exp, scores.values()))
        return {c: math.exp(score) / together for c, score in scores.items()}

    def learned(self, weights: list[float], squares: list[float], basket: Iterable[int]) -> tuple[list[float], list[float]]:
        """Weights and sums of squares after a basket: one step of Adagrad up the log-likelihood."""
        chosen = set(basket) & set(self.features)
        if not chosen:
            return weights, squares
        p = self.probabilities(weights)
        new_weights, new_squares = [], []
        for j, (w, s) in enumerate(zip(weights, squares, strict=True)):
            gradient = sum(((c in chosen) / len(chosen) - p[c]) * row[j] for c, row in self.features.items())
            new_squares.append(s + gradient**2)
            new_weights.append(w + 0.2 * gradient / math.sqrt(new_squares[-1]))
        return new_weights, new_squares


def choice(shop: Recount, user: int, rows: Rows, now: int, popular: list[int], breadth: tuple[bool, int, int]) -> Choice:
    """The candidates of a user by the design's words: whether what is held is among them, how many others, how many popular."""
    with_held, others, most_sold = breadth
    customer = shop.customers[user]
    a = evidence(customer, rows)
    largest = max(a.values(), default=0.0)

    def n(item: int) -> float:
        return faded(shop.sold[item].times, now, 90)

    ranked = sorted((c for c in a if c not in customer.held), key=lambda c: (-a[c] * max(n(c), 1e-3) ** -0.2, c))
    candidates = list(customer.held) if with_held else []
    candidates += ranked[:others]
    candidates += [c for c in popular[:most_sold] if c not in candidates and c not in customer.held]
    return Choice({c: _features(shop, customer, c, a.get(c, 0.0), largest, now) for c in candidates})


def _features(shop: Recount, customer: Customer, c: int, a: float, largest: float, now: int) -> list[float]:
    sold = shop.sold[c]
    n, nr, nq, m = faded(sold.times, now, 90), faded(sold.times, now, 14), faded(sold.times, now, 4), 0.0
    if sold.times:  # m fades with the item's sales: nobody new may have bought it for long
        m = sum(2.0 ** (-(max(now, *sold.times) - time) / (90 * DAY)) for time in sold.to_new)
    both = [math.log(a + 1e-3) / 4, math.log(1 + n) / 5, math.log((nr + 0.1) / (n + 0.5)) / 3]
    both.append(math.log((nq + 0.05) / (nr + 0.2)) / 3)
    first = [a / largest if largest else 0.0]
    held = customer.held.get(c)
    if held:
        own = [1.0, math.log(held.k) / 2, math.log(held.fb(customer.baskets) + 1e-3) / 3]
        own += [math.log(faded(held.times, now, 60) + 1e-3) / 3, math.log(faded(held.times, now, 200) + 1e-3) / 3]
        own.append(math.log((sold.observed + 5) / (sold.expected + 5)))
        return first + own + both + [0.0] * 6
    age = max(0.0, now - min(sold.times)) / DAY if sold.times else 0.0
    return first + [0.0] * 10 + both + [math.log(1 + age) / 6, math.log((m + 1) / (n + 2))]
