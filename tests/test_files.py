"""Files that commands write: whole or not there, and blamed for what is wrong with them alone."""

import os
from pathlib import Path

import pytest

from streams.cli.files import whole
from streams.failure import Failure


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"older")
    link = tmp_path / "link"
    link.symlink_to(file)
    with whole(link) as write:
        write(b"a")
        assert file.read_bytes() == b"older"
        write(b"b")
    assert (file.read_bytes(), link.is_symlink(), len(list(tmp_path.iterdir()))) == (b"ab", True, 2)


def test_what_fails_beside_it_is_not_blamed_on_it_and_leaves_no_part(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole(tmp_path / "out"):
        (tmp_path / "elsewhere").read_bytes()
    assert not list(tmp_path.iterdir())


def test_what_one_left_that_was_killed_is_in_no_other_ones_way(tmp_path: Path) -> None:
    """Of the same number, too: in a container every command may have it."""
    killed = whole(tmp_path / "out")
    killed.__enter__()
    with whole(tmp_path / "out") as write:
        write(b"a")
    assert (tmp_path / "out").read_bytes() == b"a"


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["when it is closed", "when it is written"])
def test_a_full_disk_is_told_with_the_name_of_the_file(size: int) -> None:
    with (
        pytest.raises(Failure, match="/dev/full cannot be written: No space left on device"),
        whole(Path("/dev/full")) as write,
    ):
        write(bytes(size))


def test_a_pipe_is_written_to_as_it_stands(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole(pipe) as write:
            write(b"a")
        assert os.read(reader, 10) == b"a"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
