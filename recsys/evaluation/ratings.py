"""Ratings: how well they are foretold, one after the other: what a user will rate an item is said before it is learned.

    rmse       √ mean (r̂ − r)²      mae   mean |r̂ − r|
    precision  of the k items that a user was expected to rate highest (ties: those rated first) of all that the user rated in
               the part that is measured, how many were rated 4 or more; the mean over users

Herlocker, Konstan, Terveen, Riedl, 2004, "Evaluating collaborative filtering recommender systems".
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from recsys.compiled import F64, I32
from recsys.evaluation.bootstrap import intervals, resample
from recsys.evaluation.evaluate import Progress
from recsys.evaluation.result import Method, Result
from recsys.events import Event
from recsys.strategies.item_cosine import Ratings, within

RELEVANT = 4.0
OURS = "item_cosine"
SEED = 1
PROGRESS = 1000
"""Ratings between two reports of progress."""


def global_mean(ratings: Ratings, _user: str, _item: str) -> float:
    return ratings.mean


def user_mean(ratings: Ratings, user: str, _item: str) -> float:
    return ratings.mean_of_user(user)


def item_mean(ratings: Ratings, _user: str, item: str) -> float:
    return within(ratings.of_item(item))


PREDICTIONS: dict[str, Callable[[Ratings, str, str], float]] = {
    "global_mean": global_mean,
    "user_mean": user_mean,
    "item_mean": item_mean,
    "user_and_item_mean": Ratings.expected,
    "item_cosine_plain": Ratings.plain,
}
"""What is said beside `Ratings.centred`; all but the last are baselines."""


def rated(events: Iterable[Event], begin: float, k: int, baselines: Collection[str], progress: Progress) -> Result:
    """How well the ratings are foretold that come after the part `begin` of the events' time.

    Events without a rating are passed over. Where nothing can be foretold the methods have no metrics.
    """
    found = [(e.time_ms, e.user_id, e.lines[0].item_id, e.rating) for e in events if e.rating is not None and e.lines]
    ratings = sorted(found, key=lambda rating: rating[0])
    begun = time.monotonic()
    since = ratings[0][0] + begin * (ratings[-1][0] - ratings[0][0]) if ratings else 0.0
    methods = {OURS: Ratings.centred} | {name: PREDICTIONS[name] for name in baselines}
    said: dict[str, list[float]] = {name: [] for name in methods}
    users: list[str] = []
    true: list[float] = []
    known = Ratings()
    for n, (time_ms, user, item, rating) in enumerate(ratings, 1):
        if time_ms >= since and n > 1:
            for name, predict in methods.items():
                said[name].append(predict(known, user, item))
            users.append(user)
            true.append(rating)
        known.learn(user, item, rating)
        if n % PROGRESS == 0:
            progress(OURS, n, len(ratings))
    cluster = np.unique(users, return_inverse=True)[1].astype(np.int32)
    seconds = time.monotonic() - begun
    if not true:
        return Result("prequential", "rating", "", k, len(ratings), 0, seconds, [Method(name, {}) for name in methods])
    shown = [measured(name, np.array(values), np.array(true), cluster, k) for name, values in said.items()]
    return Result("prequential", "rating", "", k, len(ratings), len(true), seconds, shown)


def measured(name: str, said: F64, true: F64, cluster: I32, k: int) -> Method:
    """How well a method foretold; `cluster` is the user of each rating."""
    errors = {"rmse": (said - true) ** 2, "mae": np.abs(said - true)}
    drawn = resample(errors, cluster, np.random.default_rng(SEED))
    drawn["rmse"] = np.sqrt(drawn["rmse"])
    each = precision(said, true, cluster, k)
    drawn |= resample({"precision": each}, np.arange(len(each), dtype=np.int32), np.random.default_rng(SEED))
    metrics = {
        "rmse": float(np.sqrt(errors["rmse"].mean())),
        "mae": float(errors["mae"].mean()),
        "precision": float(each.mean()),
    }
    return Method(name, metrics, intervals(drawn))


def precision(said: F64, true: F64, cluster: I32, k: int) -> F64:
    """Of each user the share of relevant items among the first `k`, fewer where fewer were rated.

    >>> precision(np.array([5.0, 2.0, 4.0, 3.0]), np.array([4.0, 5.0, 3.0, 1.0]), np.array([0, 0, 0, 1], np.int32), 2)
    array([0.5, 0. ])
    """
    of_user: dict[int, list[int]] = defaultdict(list)
    for n, user in enumerate(cluster.tolist()):
        of_user[user].append(n)

    def best(places: Sequence[int]) -> list[int]:
        return sorted(places, key=lambda n: -said[n])[:k]

    return np.array([float((true[best(of_user[user])] >= RELEVANT).mean()) for user in sorted(of_user)])
