"""Baselines: known methods that `freshet evaluate` runs beside Freshet, on the same events and questions.

Each goes through a file once, in order; before what is asked it ranks, then it learns. Ties go to the smaller item number
(for baskets first to the more popular item), and the most popular so far fill up an answer that is short.
"""

from collections.abc import Callable
from typing import TypeAlias

from recsys.compiled import I32
from recsys.evaluation.baselines import basket_counts
from recsys.evaluation.baselines.answers import Progress
from recsys.evaluation.baselines.item_cosine import item_cosine
from recsys.evaluation.baselines.popularity import most_popular, trending
from recsys.evaluation.baselines.sequential_rules import sequential_rules
from recsys.evaluation.baselines.tifu_knn import tifu_knn
from recsys.evaluation.baselines.v_sknn import v_sknn
from recsys.evaluation.trace import Baskets, Trace

__all__ = ["BASKET_BASELINES", "SESSION_BASELINES", "BasketBaseline", "Progress", "SessionBaseline"]

SessionBaseline: TypeAlias = Callable[[Trace, int, int, Progress], I32]
"""From a trace, the number of items, the length of an answer and a listener: the answers, questions × length."""

BasketBaseline: TypeAlias = Callable[[Baskets, int, int, Progress], I32]
"""The same from baskets: asked baskets × length."""

SESSION_BASELINES: dict[str, SessionBaseline] = {
    "most_popular": most_popular,
    "trending": trending,
    "sequential_rules": sequential_rules,
    "item_cosine": item_cosine,
    "v_sknn": v_sknn,
}

BASKET_BASELINES: dict[str, BasketBaseline] = {
    "most_popular": basket_counts.most_popular,
    "personal_top": basket_counts.personal_top,
    "recency_weighted": basket_counts.recency_weighted,
    "tifu_knn": tifu_knn,
}
