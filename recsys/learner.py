"""The learner: a softmax over a few candidates, its weights learned one choice at a time.

With f(c) the features of candidate c and w the weights,

    p(c) = exp(w·f(c)) / Σ_b exp(w·f(b))

and after each choice w moves up the gradient of its log-likelihood, Σ_c (q(c) − p(c)) f(c), where q is what was chosen (in
equal parts, where it was several). The step of each weight is Adagrad's: Duchi, Hazan, Singer, 2011, "Adaptive subgradient
methods for online learning and stochastic optimization".
"""

import struct
from typing import NamedTuple

import numpy as np

from recsys.compiled import F64, compiled

RATE = 0.2
FIRST_SQUARES = 0.01
"""What the sum of squared gradients starts with."""
LARGEST_WEIGHT = 50.0
"""No weight goes beyond this, either way, whatever comes in."""


class Weights(NamedTuple):
    """The weights of a learner, one a feature."""

    weight: F64
    squares: F64
    """Sums of squared gradients."""


def begin(first: F64) -> Weights:
    """Weights that have learned nothing yet.

    >>> begin(np.array([4.0, 0.0])).squares
    array([0.01, 0.01])
    """
    return Weights(first.astype(np.float64), np.full(len(first), FIRST_SQUARES))


def pack(weights: Weights) -> bytes:
    """The bytes to store."""
    return struct.pack("<H", len(weights.weight)) + weights.weight.tobytes() + weights.squares.tobytes()


def unpack(value: bytes | None, first: F64) -> Weights:
    """Weights from their stored bytes; those of a learner with other features are as good as none.

    >>> first = np.array([4.0, 0.0])
    >>> unpack(pack(Weights(np.array([3.0, 1.0]), np.array([0.5, 0.5]))), first).weight
    array([3., 1.])
    >>> unpack(pack(begin(np.zeros(3))), first).weight
    array([4., 0.])
    """
    k = len(first)
    if not value or len(value) != 2 + 16 * k or struct.unpack_from("<H", value) != (k,):
        return begin(first)
    numbers = np.frombuffer(value, np.float64, 2 * k, 2).copy()
    stored = Weights(numbers[:k], numbers[k:])
    # What is not a number is not within bounds either.
    is_sound = (np.abs(stored.weight) <= LARGEST_WEIGHT).all() and ((stored.squares > 0.0) & (stored.squares < np.inf)).all()
    return stored if is_sound else begin(first)


@compiled
def softmax(features: F64, n: int, weight: F64, linear: F64, probability: F64) -> None:
    """Of the first `n` candidates (rows of `features`): w·f and the probability of each."""
    largest = -np.inf
    for c in range(n):
        total = 0.0
        for j in range(len(weight)):
            total += weight[j] * features[c, j]
        linear[c] = total
        largest = max(largest, total)
    together = 0.0
    for c in range(n):
        probability[c] = np.exp(linear[c] - largest)
        together += probability[c]
    for c in range(n):
        probability[c] /= together


@compiled
def learn(features: F64, n: int, probability: F64, chosen: F64, weight: F64, squares: F64) -> None:
    """One step, after `softmax`: `chosen` is what was chosen of the first `n` candidates, and adds up to 1."""
    for j in range(len(weight)):
        gradient = 0.0
        for c in range(n):
            gradient += (chosen[c] - probability[c]) * features[c, j]
        if not np.isfinite(squares[j] + gradient * gradient):
            continue
        squares[j] += gradient * gradient
        moved = weight[j] + RATE * gradient / np.sqrt(squares[j])
        weight[j] = min(max(moved, -LARGEST_WEIGHT), LARGEST_WEIGHT)
