"""Weights: the settings that give a number to each of some names, `FRESHET_ACTION_WEIGHTS` and `FRESHET_RATES`."""

import msgspec

from recsys.rules import ActionWeights

DEAREST = 1e6
"""What a unit of a currency may be worth in another at most."""
HEAVIEST = 1000.0
"""What an action may weigh at most: a weight must stay far from the largest float32 however old its row is."""


def action_weights(text: str) -> ActionWeights:
    """What `FRESHET_ACTION_WEIGHTS` says.

    >>> action_weights("purchase=4, add_to_cart=2.5")
    ActionWeights(browse=1.0, click=1.0, add_to_cart=2.5, wishlist=1.0, purchase=4.0, rating=1.0)
    """
    found = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name not in ActionWeights._fields:
            raise msgspec.ValidationError(
                f"{name!r} is none of {', '.join(ActionWeights._fields)} (a view is browse, a cart add_to_cart); "
                "browse=1 alone makes all alike"
            )
        if name in found:
            raise msgspec.ValidationError(f"{name} stands there twice")
        try:
            found[name] = msgspec.convert(number, float, strict=False)
        except msgspec.ValidationError:
            raise msgspec.ValidationError(f"Expected {name}=number, not {part.strip()!r}") from None
        if not 1 / HEAVIEST <= found[name] <= HEAVIEST:
            raise msgspec.ValidationError(f"{name} must be between {1 / HEAVIEST:g} and {HEAVIEST:g}, not {number}")
    return ActionWeights(**dict.fromkeys(ActionWeights._fields, 1.0) | found)


def rates(text: str) -> tuple[tuple[str, float], ...]:
    """What `FRESHET_RATES` says, by currency.

    >>> rates("USD=0.9, EUR=1"), rates("")
    ((('EUR', 1.0), ('USD', 0.9)), ())
    """
    found: dict[str, float] = {}
    for part in filter(str.strip, text.split(",")):
        currency, _, number = (piece.strip() for piece in part.partition("="))
        if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
            raise msgspec.ValidationError(f"{currency!r} is no currency: three capital letters (ISO 4217)")
        if currency in found:
            raise msgspec.ValidationError(f"{currency} stands there twice")
        try:
            found[currency] = msgspec.convert(number, float, strict=False)
        except msgspec.ValidationError:
            raise msgspec.ValidationError(f"Expected {currency}=number, not {part.strip()!r}") from None
        if not 0 < found[currency] <= DEAREST:
            raise msgspec.ValidationError(f"{currency} must be above 0 and at most {DEAREST:g}, not {number}")
    return tuple(sorted(found.items()))
