"""The bootstrap: between which bounds the mean of a metric lies, and how surely one method is better than another.

Questions of one session (or of one user) are not independent, so whole clusters of questions are drawn, with replacement, as
many as there are: the cluster bootstrap, whose consistency is shown by Field, Welsh, 2007, "Bootstrapping clustered data". All
metrics of all methods are taken from the same draws, so differences between methods are paired. Intervals are the percentiles
of the means of 1 000 draws: Efron, Tibshirani, 1993, "An introduction to the bootstrap", chapter 13.

A mean is Σ s_c / Σ n_c over the clusters drawn, s_c the sum of a metric in cluster c and n_c its questions: draws are made of
these sums, not of questions. More than 10 000 clusters are first put together, at random, in 10 000 groups: groups of
independent clusters are independent, and what varies between them is in expectation the same (Wolter, 1985, "Introduction to
variance estimation", chapter 2, the random group method); 1 000 draws leave more to chance than that does.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from recsys.compiled import F64, I32

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
GROUPS = 10_000
DRAWN_AT_ONCE = 100
"""Draws made in one go: 8 MB of numbers."""

Name = TypeVar("Name", bound=Hashable)


def resample(vectors: Mapping[Name, F64], cluster: I32, random: np.random.Generator) -> dict[Name, F64]:
    """For each vector (a number a question) its means in 1 000 draws of clusters, the same draws for all.

    `cluster` says to which session or user each question belongs, in any numbers from 0. Raises ValueError where lengths
    differ. With fewer than two clusters the means are NaN: they say nothing.

    >>> vectors = {"ours": np.array([1.0, 1.0, 0.0, 1.0]), "theirs": np.array([0.0, 0.0, 0.0, 1.0])}
    >>> drawn = resample(vectors, np.array([0, 0, 1, 2], np.int32), np.random.default_rng(1))
    >>> intervals({"difference": drawn["ours"] - drawn["theirs"]})
    {'difference': (0.0, 1.0)}
    """
    if any(len(values) != len(cluster) for values in vectors.values()):
        raise ValueError("a metric does not have a number for each question")
    sums = cluster_sums(list(vectors.values()), cluster)
    if len(sums) < 2:
        return {name: np.full(RESAMPLES, np.nan) for name in vectors}
    if len(sums) > GROUPS:
        sums = np.add.reduceat(random.permutation(sums), np.arange(GROUPS) * len(sums) // GROUPS)
    each = np.full(len(sums), 1.0 / len(sums))
    draws = range(RESAMPLES // DRAWN_AT_ONCE)
    totals = np.concatenate([random.multinomial(len(sums), each, DRAWN_AT_ONCE).astype(np.float64) @ sums for _ in draws])
    return {name: totals[:, column] / totals[:, -1] for column, name in enumerate(vectors)}


def intervals(drawn: Mapping[Name, F64]) -> dict[Name, tuple[float, float]]:
    """The 95 % interval of each, from its draws; left out where these say nothing, as there were fewer than two clusters.

    >>> intervals({"mrr": np.arange(1001.0) / 1000, "none": np.full(1000, np.nan)})
    {'mrr': (0.025, 0.975)}
    """
    found = {}
    for name, means in drawn.items():
        if np.isfinite(means).all():
            low, high = np.percentile(means, PERCENTILES)
            found[name] = (float(low), float(high))
    return found


def cluster_sums(vectors: list[F64], cluster: I32) -> F64:
    """For each cluster that has a question the sum of each vector in it, and last the number of its questions.

    >>> cluster_sums([np.array([0.5, 1.0, 0.25])], np.array([7, 2, 7], np.int32))
    array([[1.  , 1.  ],
           [0.75, 2.  ]])
    """
    questions = np.bincount(cluster)
    sums = [np.bincount(cluster, weights=values) for values in vectors]
    return np.stack([*sums, questions.astype(np.float64)], axis=1)[questions > 0]
