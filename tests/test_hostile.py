"""Nothing that comes in can break a worker: every record is counted, or set aside with a reason that is short and escaped."""

import json
import time
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hostile import LONGEST_REASON
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from oracle import Bad, parse
from siege import besiege, prepare
from strategies import NOW_MS, click, encoded, raw
from trial import PARTITIONS, trial
from workers import Workers

from recsys.events import LATEST_MS, InvalidEvent, decode
from recsys.recommendation import Reason, RecommendedItem, Written, encode
from recsys.record import DEEPEST
from streams.publishing import LARGEST_MESSAGE, within_a_record
from streams.settings import Settings


def reason(value: bytes, recorded_ms: int = NOW_MS) -> str:
    with pytest.raises(InvalidEvent) as caught:
        decode(value, recorded_ms)
    return str(caught.value)


@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_hostile_records_are_each_counted_or_rejected_with_a_reason(seed: int) -> None:
    assert trial(seed, 2_500).differences == []


@hypothesis.settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32))
def test_so_is_any_small_log_of_them(seed: int) -> None:
    assert trial(seed, 60).differences == []


# What such records found


@pytest.mark.parametrize("recorded_ms", [LATEST_MS + 1, 2**48, 2**62])
def test_a_time_that_no_calendar_has_is_rejected(recorded_ms: int) -> None:
    assert reason(encoded(click()), recorded_ms) == "event_time: missing, and the record's timestamp is after 9999"
    assert reason(encoded(click(event_time=LATEST_MS + 1)), recorded_ms) == "event_time: after 9999"
    assert decode(encoded(click(event_time=LATEST_MS)), recorded_ms).time_ms == LATEST_MS
    assert decode(encoded(click()), LATEST_MS).time_ms == LATEST_MS


@pytest.mark.parametrize("nested", ["[", '{"a":'])
def test_how_deep_an_event_may_be_nested_does_not_depend_on_who_asks(nested: str) -> None:
    def properties(depth: int) -> bytes:
        closed = {"[": "]", '{"a":': "}"}[nested]
        return raw("properties", nested * depth + "1" + closed * depth)

    def asked_from(frames: int, value: bytes) -> str:
        if frames:
            return asked_from(frames - 1, value)
        try:
            return decode(value, NOW_MS).user_id
        except InvalidEvent as invalid:
            return str(invalid)

    deepest, deeper = properties(DEEPEST - 1), properties(DEEPEST)
    assert {asked_from(frames, deepest) for frames in (0, 200)} == {"u1"}
    assert {asked_from(frames, deeper) for frames in (0, 200)} == {f"properties: nested deeper than {DEEPEST}"}
    with pytest.raises(Bad):
        parse(deeper, NOW_MS)


def test_brackets_in_strings_are_no_nesting() -> None:
    assert decode(raw("properties", '"' + '[{\\"' * 5_000 + '"'), NOW_MS).user_id == "u1"


def test_what_a_later_field_of_the_same_name_replaces_does_not_matter() -> None:
    value = (
        b'{"user_id": 1.5, "event_type": [], "items": [{"item_id": {}, "item_id": 1}], "event_type": "cart", "user_id": "u1"}'
    )
    assert decode(value, NOW_MS).user_id == "u1" == parse(value, NOW_MS).user
    assert reason(b'{"user_id": "u1", "event_type": "click", "item_id": "a", "user_id": 1.5}').startswith("user_id: ")


@pytest.mark.parametrize("text", ['"' + '\\"' * 30_000, "[" * 600 + '"' + '\\"' * 30_000, '"' * 30_000 + "[" * 600])
def test_a_record_that_is_made_to_be_slow_is_rejected_at_once(text: str) -> None:
    begun = time.process_time()
    assert len(reason(raw("properties", text)[:-1])) < LONGEST_REASON
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("name", ["event_type", "event_time", "é\x1b" * 99])
def test_a_strangers_text_in_a_reason_is_short_and_in_ascii(name: str) -> None:
    said = reason(encoded(click(**{name: "\u202e…" * 999 if name.startswith("event") else float("nan")})))
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= LONGEST_REASON


def test_recommendations_of_the_longest_ids_fit_into_a_record() -> None:
    def message(items: int, item: str) -> Written:
        reasons = [Reason("also_viewed", 0.2, item) for _ in range(5)]
        listed = msgspec.json.encode([RecommendedItem(item, 1.0, reasons) for _ in range(items)])
        return Written("u", "r", "t", "t", "personal", msgspec.Raw(listed), "e" * 65_000)

    assert len(encode(message(500, "\x01" * 128))) > LARGEST_MESSAGE
    shortened = json.loads(within_a_record(message(500, "\x01" * 128)))
    assert 100 < len(shortened["items"]) < 500
    assert within_a_record(message(20, "\x01" * 128)) == encode(message(20, "\x01" * 128))


def test_a_real_worker_stands_a_siege(namespace: Settings, environ: dict[str, str], tmp_path: Path) -> None:
    settings = replace(namespace, neighbours=10_000, partitions=PARTITIONS)
    prepare(settings)
    with Workers(environ, tmp_path).supervised() as workers:
        worker = workers.start(FRESHET_NEIGHBOURS="10000").wait_ready()
        outcomes = besiege(settings, worker, seed=7, inputs=3_000, told=lambda *_: None)
        assert worker.terminate() == 0
    assert outcomes.differences == []
    assert outcomes.rejected > 500 < outcomes.interactions
