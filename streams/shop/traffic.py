"""The simulated shop's traffic: many visits at once, as one stream of events in the order of their times."""

import heapq
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from streams.shop.catalogue import Catalogue
from streams.shop.shoppers import ANONYMOUS, Shopper, newcomer
from streams.shop.visits import Fields, Visit, begin, step

ACTIVE = 0.5
"""Visits at any time, as a share of the shoppers."""
ARRIVAL = 120
"""Events from one new product to the next."""


def events(
    rng: Random, catalogue: Catalogue, shoppers: list[Shopper], *, rate: float, start_ms: int
) -> Iterator[tuple[float, Fields]]:
    """Events without end, each with the seconds after the start at which it happens.

    `rate` is the mean number of events a second; the gaps are random. The ids hold the time of the start, so that two
    runs with one seed are two different sets of events. The shoppers remember what they did: they are changed.

    >>> from streams.shop.catalogue import build_catalogue
    >>> from streams.shop.shoppers import crowd
    >>> rng = Random(5)
    >>> shop = build_catalogue(rng)
    >>> stream = events(rng, shop, crowd(rng, 50, shop), rate=100, start_ms=1_800_000_000_000)
    >>> due, event = next(stream)
    >>> event["event_type"], event["item_id"], event["event_time"]
    ('browse', 'sleeping-bag-013', '2027-01-15T08:00:00.002Z')
    """
    run = f"{start_ms:x}"
    sessions = itertools.count(1)
    strangers = itertools.count(1)
    idle = list(shoppers)
    rng.shuffle(idle)

    def arrive() -> Visit:
        """The next visitor: somebody unknown, or the known shopper who has been away for (about) the longest."""
        if not idle or rng.random() < ANONYMOUS:
            shopper = newcomer(rng, next(strangers), known=False)
        else:
            shopper = idle.pop(rng.randrange(min(len(idle), 8)))
        return begin(rng, shopper, f"s-{run}-{next(sessions)}")

    active = max(1, round(len(shoppers) * ACTIVE))
    pause = active / rate
    # The time to the next event of somebody who has been here for a while: a moment falls into long gaps more often.
    queue = [(rng.random() * rng.gammavariate(3, pause / 2), n, arrive()) for n in range(active)]
    heapq.heapify(queue)
    for number in itertools.count(1):
        due, place, visit = queue[0]
        on_sale = min(catalogue.opening + number // ARRIVAL, len(catalogue.products))
        fields = step(rng, visit, catalogue, on_sale)
        yield due, _event(fields, visit, f"e-{run}-{number}", start_ms + due * 1000)
        if visit.over:
            if visit.shopper.known:
                idle.append(visit.shopper)
            visit = arrive()
        heapq.heapreplace(queue, (due + rng.gammavariate(2, pause / 2), place, visit))


def _event(fields: Fields, visit: Visit, event_id: str, time_ms: float) -> Fields:
    """The whole event, in the form of the contract."""
    moment = datetime.fromtimestamp(int(time_ms) / 1000, UTC)
    return (
        {"event_type": fields["event_type"], **visit.shopper.identity}
        | fields
        | {
            "event_id": event_id,
            "event_time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "session_id": visit.session_id,
            "source": visit.shopper.device,
        }
    )
