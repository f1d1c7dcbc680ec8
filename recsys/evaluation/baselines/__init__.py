"""Baselines: known methods that `freshet evaluate` runs beside Freshet, on the same events and questions.

Each goes through a file once, in order; before what is asked it ranks, then it learns. Ties go to the smaller item number
(for baskets first to the more popular item), and the most popular so far fill up an answer that is short.
"""

from collections.abc import Callable
from typing import TypeAlias

from recsys.compiled import I32
from recsys.evaluation.baselines.answers import Progress
from recsys.evaluation.baselines.item_cosine import item_cosine
from recsys.evaluation.baselines.popularity import most_popular, trending
from recsys.evaluation.baselines.sequential_rules import sequential_rules
from recsys.evaluation.baselines.v_sknn import v_sknn
from recsys.evaluation.trace import Trace

__all__ = ["SESSION_BASELINES", "Progress", "SessionBaseline"]

SessionBaseline: TypeAlias = Callable[[Trace, int, int, Progress], I32]
"""From a trace, the number of items, the length of an answer and a listener: the answers, questions × length."""

SESSION_BASELINES: dict[str, SessionBaseline] = {
    "most_popular": most_popular,
    "trending": trending,
    "sequential_rules": sequential_rules,
    "item_cosine": item_cosine,
    "v_sknn": v_sknn,
}
