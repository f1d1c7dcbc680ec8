"""What holds for the reader of every format: packed or not, whole or cut short, a file or a pipe, ours or not."""

import gzip
import json
import os
import threading
from pathlib import Path

import pytest
from reader_samples import JSONL, NOW_MS, ORIGINAL_RETAILROCKET, REES46, SAMPLES, events, file_of, values

from recsys.events import decode
from recsys.readers import FORMATS, FormatError, read


def test_there_is_a_sample_of_every_format() -> None:
    assert SAMPLES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", ["jsonl", "sessions", "rees46", "retailrocket"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, name: str) -> None:
    content = {"jsonl": JSONL, "sessions": "0\t1 2 1\n", "rees46": REES46, "retailrocket": ORIGINAL_RETAILROCKET}[name]
    plain = values(read(file_of(tmp_path, content), name, NOW_MS))
    marked = file_of(tmp_path, gzip.compress(b"\xef\xbb\xbf" + content.encode()), "marked")
    assert values(read(marked, name, NOW_MS)) == plain


@pytest.mark.parametrize("name", FORMATS)
def test_gzip_is_known_by_its_content_and_changes_nothing(tmp_path: Path, name: str) -> None:
    plain = read(file_of(tmp_path, SAMPLES[name], "plain.gz"), name, NOW_MS)
    packed = read(file_of(tmp_path, gzip.compress(SAMPLES[name].encode()), "packed.csv"), name, NOW_MS)
    assert values(plain) == values(packed) != []
    assert plain.bad == packed.bad
    assert plain.left_out == packed.left_out


@pytest.mark.parametrize("name", FORMATS)
def test_windows_line_ends_and_a_missing_last_one_change_nothing(tmp_path: Path, name: str) -> None:
    unix = values(read(file_of(tmp_path, SAMPLES[name]), name, NOW_MS))
    windows = SAMPLES[name].replace("\n", "\r\n").rstrip()
    assert values(read(file_of(tmp_path, windows), name, NOW_MS)) == unix


@pytest.mark.parametrize("name", FORMATS)
def test_a_record_says_the_same_in_bytes_and_as_event(tmp_path: Path, name: str) -> None:
    with read(file_of(tmp_path, SAMPLES[name]), name, NOW_MS) as reader:
        for record in reader:
            assert decode(record.value, NOW_MS) == record.event
            if name != "jsonl":
                assert "event_time" in json.loads(record.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", [*FORMATS, "prefixes"])
def test_a_file_of_another_format_is_an_error_that_names_it(tmp_path: Path, name: str, other: str) -> None:
    if SAMPLES[name] == SAMPLES.get(other):
        return
    path = file_of(tmp_path, (SAMPLES | {"prefixes": "prefix\ttarget\n1 2\t3\n"})[other], "theirs")
    with pytest.raises(FormatError) as caught:
        values(read(path, name))
    message = str(caught.value)
    assert str(path) in message
    assert "expected" in message or f"in the format {name}" in message
    assert "begins with '" in message or "line 1 is '" in message


@pytest.mark.parametrize("name", FORMATS)
def test_a_gzip_file_that_is_cut_short_is_an_error(tmp_path: Path, name: str) -> None:
    packed = gzip.compress(SAMPLES[name].encode())
    with pytest.raises(FormatError, match="cut short"):
        values(read(file_of(tmp_path, packed[:-12]), name))


@pytest.mark.parametrize("name", FORMATS)
def test_progress_grows_to_the_whole(tmp_path: Path, name: str) -> None:
    head, _, rest = SAMPLES[name].partition("\n")
    good = rest.split("\n")[0]
    path = file_of(tmp_path, "\n".join([head, *[good] * 3_000]))
    with read(path, name, NOW_MS) as reader:
        parts = [part for _ in reader if (part := reader.progress) is not None]
        assert reader.progress == 1.0
    assert parts == sorted(parts)
    assert all(0 <= part <= 1 for part in parts)
    assert len(set(parts)) > 1 or name in (
        "online-retail",
        "online-retail-lines",
        "jsonl",
    )  # of these the lines make one event, or none


def test_a_pipe_has_no_progress_but_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(REES46,))
    writer.start()
    with read(pipe, "rees46") as reader:
        assert reader.progress is None
        assert len(list(reader)) == 4
    writer.join()


def test_bytes_that_are_not_utf8_do_harm_only_in_a_column_that_is_used(tmp_path: Path) -> None:
    header = REES46.partition("\n")[0].encode()
    used = b"2019-10-01 00:00:00 UTC,view,\xff,1,,b,1,2,s"
    unused = b"2019-10-01 00:00:00 UTC,view,3,1,,\xff,1,2,s"
    reader = read(file_of(tmp_path, b"\n".join([b"\xef\xbb\xbf" + header, used, unused])), "rees46")
    assert [e["item_id"] for e in values(reader)] == ["3"]
    assert reader.bad.reasons == {"not UTF-8": 1}


def test_reasons_and_examples_do_not_grow_without_end(tmp_path: Path) -> None:
    lines = [json.dumps({"event_type": f"t{n}", "user_id": 1, "item_id": 1}) for n in range(1000)]
    good = '{"event_type":"view","user_id":1,"item_id":1}'
    reader = read(file_of(tmp_path, "\n".join([good, *lines])), "jsonl")
    events(reader)
    assert reader.bad.total == 1000
    assert len(reader.bad.reasons) == 51
    assert reader.bad.reasons["other reasons"] == 950
    assert len(reader.bad.examples) == 3


def test_a_file_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nowhere", "jsonl")
