"""Personal, or hybrid: all that a worker ranks by, items met together, what is described alike and what customers buy, blended
by what was learned. Without descriptions it is collaborative."""

from recsys.ranker import Asked
from recsys.rules import Rules


def part(asked: Asked) -> Asked:
    """Everything."""
    return asked


def rules(rules: Rules) -> Rules:
    """The worker's own."""
    return rules
