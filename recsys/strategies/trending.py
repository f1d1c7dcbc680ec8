"""Trending: what is popular now, the same for everybody but for what each is not to be shown.

The score is an item's decayed interactions beside the most popular's.
"""

import numpy as np

from recsys import histories
from recsys.ranker import Asked
from recsys.rules import Rules
from recsys.strategies import item_based


def part(asked: Asked) -> Asked:
    """The users, and nothing that they did."""
    users, room = asked.histories.item.shape
    nothing_new = np.zeros(users, np.int32)
    return item_based.part(asked)._replace(histories=histories.empty(users, room), new=nothing_new)


def rules(rules: Rules) -> Rules:
    """Those of the worker, without the learner."""
    return item_based.rules(rules)
