"""Content-based: what is described like the user's recent items, whoever met it, and what was met in this session.

The score is F of `recsys.ranking.evidence` where nothing is known of any row: what descriptions say, and the repeat. It needs
the catalogue.

Lops, de Gemmis, Semeraro, 2011, "Content-based recommender systems: state of the art and trends".
"""

from recsys.strategies import item_based

part = item_based.part
rules = item_based.rules
