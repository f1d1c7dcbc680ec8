"""Item-based: what was met together with the user's recent items, by the rows alone, over one and two hops.

The score is F of `recsys.ranking.evidence`; nothing learned and no purchase is in it.

Sarwar, Karypis, Konstan, Riedl, 2001, "Item-based collaborative filtering recommendation algorithms"; Linden, Smith, York,
2003, "Amazon.com recommendations: item-to-item collaborative filtering".
"""

import msgspec
import numpy as np

from recsys.buying import Customers
from recsys.histories import Histories
from recsys.ranker import Asked
from recsys.returning import purchases
from recsys.rules import Rules


def part(asked: Asked) -> Asked:
    """The histories, without what is held of purchases."""
    nobody = Histories._make(column[:0] for column in asked.histories)
    nothing = purchases.empty(0)
    customers = Customers(nobody, np.zeros(0, np.int32), nothing, nothing)
    return asked._replace(returning=np.zeros(0, np.int64), customers=customers)


def rules(rules: Rules) -> Rules:
    """Those of the worker, without the learner."""
    return msgspec.structs.replace(rules, learner=False)
