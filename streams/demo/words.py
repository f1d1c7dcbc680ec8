"""The demo in words: how events, items, reasons and numbers are written for people."""

from typing import Any

from recsys.words import visits
from streams.demo.followed import Did, Shown
from streams.shop.catalogue import Catalogue

DONE = {
    "browse": "looked at",
    "click": "clicked",
    "add_to_cart": "put in cart",
    "remove_from_cart": "took out",
    "purchase": "bought",
    "refund": "sent back",
    "wishlist": "wished for",
    "rating": "rated",
    "search": "searched",
}

OTHER_REASONS = {
    "repeat": "she was here before",
    "bought_again": "she buys it again",
    "trending": "popular now",
    "exploration": "new here",
}


def short(catalogue: Catalogue, item_id: str) -> str:
    """An item's title without its brand."""
    product = catalogue.by_id.get(item_id)
    return product.title.removeprefix(product.brand).strip() if product else item_id


def deed(catalogue: Catalogue, did: Did) -> tuple[str, str]:
    """What somebody did: the verb, and with what."""
    if did.kind == "search":
        return DONE["search"], f"“{did.what[0]}”"
    first = short(catalogue, did.what[0])
    return DONE.get(did.kind, did.kind), first if len(did.what) == 1 else f"{first} + {len(did.what) - 1} more"


def reason(catalogue: Catalogue, shown: Shown) -> str:
    """The strongest of an item's reasons."""
    first: dict[str, Any] = max(shown.reasons, key=lambda one: float(one["share"]))
    if first["kind"] in ("also_viewed", "also_bought"):
        counted = f" · {visits(first['count'])}" if "count" in first else ""
        return f"{short(catalogue, first['item_id'])} {percent(first['share'])}{counted}"
    if first["kind"] == "similar_content":
        return f"like {short(catalogue, first['item_id'])} {percent(first['share'])}"
    return OTHER_REASONS.get(first["kind"], "")


def movement(shown: Shown) -> str:
    """How an item has moved: new, up or down so many places, or not."""
    if shown.before is None:
        return "new"
    if shown.before == shown.rank:
        return "·"
    return f"▲{shown.before - shown.rank}" if shown.rank < shown.before else f"▼{shown.rank - shown.before}"


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.4321)
    '43 %'
    """
    return f"{100 * share:.0f} %"


def share(part: int, whole: int) -> str:
    return percent(part / whole) if whole else "–"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
