"""What customers say of items: counted as numbers, told in messages and by segment, and no comment is kept."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from oracle import Record
from strategies import NOW_MS, encoded
from test_customers import told
from test_laws import FEW, counted

from recsys.connection import open_client
from recsys.customers import message
from recsys.customers.feedback import NO_FEEDBACK, Feedback, merged
from recsys.customers.message import Customer, Said
from recsys.events import InvalidEvent, decode
from recsys.keys import Keys
from recsys.ledger.segments import Segment, table
from recsys.sentiment import READ, SCALE, sentiment
from streams.cli import main
from streams.settings import Settings

KIND, UNKIND = "I love this mug!", "It broke. Awful."


def rating(**fields: Any) -> bytes:
    return encoded({"event_type": "rating", "user_id": "u", "item_id": "a", "rating": 4, "event_time": NOW_MS} | fields)


def score(comment: str) -> int:
    found = sentiment(comment, "en")
    assert found is not None
    return found


def log_of(*events: bytes) -> list[Record]:
    return [Record(0, n, NOW_MS, None, event) for n, event in enumerate(events)]


def test_a_message_tells_ratings_and_how_kind_comments_are() -> None:
    log = log_of(
        rating(rating=5, comment=KIND, language="en"),
        rating(rating=1, comment=UNKIND, language="en-US"),
        rating(rating=2.5, comment="Schöne Tasse", language="de"),
        rating(),
    )
    mean = pytest.approx((score(KIND) + score(UNKIND)) / 2 / SCALE, abs=1e-4)
    feedback = {"ratings": 4, "mean_rating": 3.12, "comments": 3, "judged": 2, "mean_sentiment": mean}
    assert told(log)["u"]["feedback"] == feedback
    assert "feedback" not in told(log_of(encoded({"event_type": "view", "user_id": "u", "item_id": "a"})))["u"]


def test_no_comment_is_in_anything_that_is_stored_or_told() -> None:
    log = log_of(rating(comment="kept nowhere", language="en"), rating(comment="kept nowhere"))
    everything = [*counted(log, 1).values.values(), json.dumps(told(log)).encode()]
    assert not [value for value in everything if b"nowhere" in value]
    assert "nowhere" not in repr(decode(log[0].value, NOW_MS))


def test_kind_words_are_above_nothing_and_unkind_ones_below() -> None:
    assert score(KIND) > 2000 > score("It is a mug.") == 0 > -2000 > score(UNKIND)


@pytest.mark.parametrize("language", ["de", "", None, "eng", "x", "-en"])
def test_of_a_comment_in_another_language_or_in_one_that_is_not_told_nothing_is_made_up(language: str | None) -> None:
    event = decode(rating(comment=KIND, language=language), NOW_MS)
    assert (event.commented, event.sentiment) == (True, None)


@pytest.mark.parametrize("language", ["en", "EN", "en-GB", "en_US", " en "])
def test_english_has_many_names(language: str) -> None:
    assert decode(rating(comment=KIND, language=language), NOW_MS).sentiment == sentiment(KIND, "en")


@pytest.mark.parametrize("comment", [7, True, [KIND], {"text": KIND}, "", " \n", None])
def test_what_is_no_comment_is_none_and_its_rating_counts(comment: object) -> None:
    event = decode(rating(comment=comment, language="en"), NOW_MS)
    assert (event.rating, event.commented, event.sentiment) == (4.0, False, None)


def test_a_comment_with_a_lone_surrogate_is_refused_as_in_any_field() -> None:
    with pytest.raises(InvalidEvent, match=r"^comment: a lone surrogate"):
        decode(rating(comment="COMMENT", language="en").replace(b"COMMENT", rb"\ud800"), NOW_MS)


def test_of_a_long_comment_the_beginning_is_read() -> None:
    assert sentiment("mug " * (READ // 4) + KIND, "en") == 0
    assert sentiment("!" * 60_000, "en") == sentiment("!" * READ, "en")


def test_a_comment_on_anything_but_a_rating_is_passed_over() -> None:
    event = decode(encoded({"event_type": "view", "user_id": 1, "item_id": 2, "comment": KIND, "language": "en"}), NOW_MS)
    assert (event.commented, event.sentiment) == (False, None)


SOME = st.builds(Feedback, *[st.integers(0, 10**12)] * 4, st.integers(-(10**12), 10**12))


@FEW
@given(SOME, SOME, SOME)
def test_what_several_customers_said_is_added_up_in_any_order(a: Feedback, b: Feedback, c: Feedback) -> None:
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, NO_FEEDBACK) == a


def test_segments_tell_what_their_customers_said_where_anybody_rated() -> None:
    quiet, loud = Segment(customers=2), Segment(customers=1, feedback=Feedback(2, 9_000_000, 1, 1, -4215))
    [row, other] = table({"new": quiet, "loyal": loud}).objects
    said = {"ratings": 2, "mean rating": 4.5, "comments": 1, "mean sentiment": -0.4215}
    assert other == other | said
    assert row == row | {"ratings": 0, "mean rating": None, "comments": 0, "mean sentiment": None}
    assert "ratings" not in table({"new": quiet}).columns


def test_a_table_tells_what_a_customer_said(namespace: Settings, variables: Mapping[str, str]) -> None:
    known = Customer("u", "2026-01-01T00:00:00Z", "", "", 1, 1, {}, feedback=Said(3, 4.33, 2, 1, 0.884))
    with open_client(namespace.redis) as client:
        client.set(Keys(namespace.key_prefix).customer("u"), message.encode(known))
    shown = CliRunner().invoke(main, ["customer", "u"], env=variables).stdout
    assert "rates 4.33 of 5 (3 ratings), 2 comments" in shown
