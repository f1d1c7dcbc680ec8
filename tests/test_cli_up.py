"""The command line's frame, and `freshet up` and `down`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import redis
from click.testing import CliRunner, Result
from kafka.errors import KafkaTimeoutError

from streams.cli import Commands, main
from streams.failure import Failure
from streams.local import LocalError
from streams.local.ports import HOST
from streams.local.process import identity
from streams.settings import SettingsError


def freshet(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from streams.cli import main; main(prog_name='freshet')", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def run_raising(error: BaseException) -> Result:
    @click.group(cls=Commands)
    def group() -> None:
        raise error

    @group.command()
    def anything() -> None:
        pass

    return CliRunner().invoke(group, ["up"])


def test_help_lists_commands_without_loading_what_they_need() -> None:
    code = (
        "import sys; from streams.cli import main\n"
        "try: main(['--help'])\n"
        "finally: assert not {'faust', 'numba', 'numpy', 'kafka', 'aiokafka', 'redis', 'rich'} & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "up " in shown.stdout


def test_every_command_of_the_table_exists_and_has_help() -> None:
    for name in main.list_commands(click.Context(main)):
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0, name
        assert "--help" in result.stdout, name


def test_wrong_usage_ends_with_2() -> None:
    assert CliRunner().invoke(main, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(main, ["up", "--kafka-port", "much"]).exit_code == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Failure("it is\nwrong: do this"), "freshet: it is wrong: do this"),
        (SettingsError("FRESHET_TOP_N is 'x'"), "freshet: FRESHET_TOP_N is 'x'"),
        (LocalError("no room"), "freshet: no room"),
    ],
)
def test_a_failure_is_one_line_and_ends_with_1(error: Exception, line: str) -> None:
    result = run_raising(error)
    assert (result.exit_code, result.stderr, result.stdout) == (1, line + "\n", "")


@pytest.mark.parametrize(
    ("error", "variable", "address"),
    [
        (redis.ConnectionError("Error 111"), "FRESHET_REDIS", "redis://me:***@nowhere:1/0"),
        (redis.TimeoutError("slow"), "FRESHET_REDIS", "redis://me:***@nowhere:1/0"),
        (KafkaTimeoutError("no brokers"), "FRESHET_BROKER", "kafka://nowhere:2"),
    ],
)
def test_a_lost_connection_is_one_line_with_the_address_and_its_setting(
    monkeypatch: pytest.MonkeyPatch, error: Exception, variable: str, address: str
) -> None:
    monkeypatch.setenv("FRESHET_REDIS", "redis://me:secret@nowhere:1/0")
    monkeypatch.setenv("FRESHET_BROKER", "kafka://nowhere:2")
    result = run_raising(error)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert variable in result.stderr
    assert address in result.stderr
    assert "secret" not in result.stderr


def test_a_defect_keeps_its_traceback() -> None:
    assert isinstance(run_raising(ZeroDivisionError()).exception, ZeroDivisionError)


def test_ctrl_c_ends_with_130_and_one_line() -> None:
    result = run_raising(KeyboardInterrupt())
    assert (result.exit_code, result.output) == (130, "freshet: interrupted\n")


def test_a_reader_that_has_gone_ends_it_quietly() -> None:
    code = (
        "import click; from streams.cli import Commands\n"
        "@click.group(cls=Commands, invoke_without_command=True)\n"
        "def group():\n"
        "    for number in range(100_000): click.echo(number)\n"
        "group([])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.readline()
        writer.stdout.close()
        assert writer.stderr.read() == b""
    assert writer.returncode == 141


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "local data"
    yield directory
    freshet("down", "--dir", directory)


def test_up_and_down(folder: Path) -> None:
    first = freshet("up", "--dir", folder, "--kafka-port", "0", "--redis-port", "0", "--json")
    assert first.returncode == 0, first.stderr
    there = json.loads(first.stdout)
    pids = {name: server["pid"] for name, server in there["servers"].items()}
    assert all(server["started"] for server in there["servers"].values())
    with redis.Redis.from_url(there["redis"]) as connection:
        connection.set("kept", "yes")

    second = freshet("up", "--dir", folder)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("was running already") == 2
    assert f"export FRESHET_BROKER={there['broker']}\nexport FRESHET_REDIS={there['redis']}\n" in second.stdout

    elsewhere = freshet("up", "--dir", folder, "--kafka-port", "9")
    assert (elsewhere.returncode, elsewhere.stderr.count("\n")) == (1, 1)
    assert "freshet down" in elsewhere.stderr

    os.kill(pids["redis"], signal.SIGKILL)
    wait_gone(pids["redis"])
    third = json.loads(freshet("up", "--dir", folder, "--json").stdout)
    assert third["redis"] == there["redis"]
    assert third["servers"]["redis"]["started"]
    assert third["servers"]["kafka"] == {**there["servers"]["kafka"], "started": False}
    with redis.Redis.from_url(there["redis"]) as connection:
        assert connection.get("kept") == b"yes"

    down = freshet("down", "--dir", folder)
    assert (down.returncode, down.stderr) == (0, "")
    assert "Redis and Kafka stopped" in down.stdout
    assert identity(pids["kafka"]) is None
    assert identity(third["servers"]["redis"]["pid"]) is None

    again = freshet("down", "--dir", folder)
    assert again.returncode == 0
    assert "nothing runs" in again.stdout


def wait_gone(pid: int) -> None:
    until = time.monotonic() + 10
    while identity(pid) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_up_names_a_port_that_is_in_use_and_its_option(folder: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        result = freshet("up", "--dir", folder, "--kafka-port", "0", "--redis-port", str(port))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert str(port) in result.stderr
    assert "--redis-port" in result.stderr
    assert json.loads(freshet("down", "--dir", folder, "--json").stdout)["stopped"] == []
