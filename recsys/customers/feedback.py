"""Feedback: what a customer says of items, as numbers: ratings, and how kind comments are. No comment is kept."""

from typing import NamedTuple

from recsys.customers.money import micros
from recsys.events import Event


class Feedback(NamedTuple):
    """Sums over events of type `rating`, whole numbers all of them, so that those of several customers are added up."""

    ratings: int = 0
    rated: int = 0
    """The ratings themselves, in millionths."""
    comments: int = 0
    judged: int = 0
    """Comments in a language whose sentiment can be told."""
    sentiment: int = 0
    """Of these, in ten-thousandths (`recsys.sentiment`)."""


NO_FEEDBACK = Feedback()


def merged(a: Feedback, b: Feedback) -> Feedback:
    """What two customers said.

    >>> merged(Feedback(1, 5_000_000), Feedback(2, 3_000_000, 1)) == Feedback(3, 8_000_000, 1)
    True
    """
    return Feedback(*(one + other for one, other in zip(a, b, strict=True)))


def of_event(event: Event) -> Feedback:
    """What an event of type `rating` says.

    >>> from recsys.events import decode
    >>> of_event(decode(b'{"event_type": "rating", "user_id": 1, "item_id": 2, "rating": 4.5, "comment": "Nett!"}', 10**12))
    Feedback(ratings=1, rated=4500000, comments=1, judged=0, sentiment=0)
    """
    judged = int(event.sentiment is not None)
    return Feedback(1, micros(event.rating or 0.0), int(event.commented), judged, event.sentiment or 0)
