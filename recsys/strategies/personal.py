"""Personal: all that a worker ranks by, items met together and what customers buy, blended by what was learned."""

from recsys.ranker import Asked
from recsys.rules import Rules


def part(asked: Asked) -> Asked:
    """Everything."""
    return asked


def rules(rules: Rules) -> Rules:
    """The worker's own."""
    return rules
