"""How a worker starts: what takes long is said."""

import asyncio
import logging
import time

import pytest

from streams import worker
from streams.settings import Settings


@pytest.mark.parametrize(("takes_s", "said"), [(0.0, []), (0.2, ["compiling (the first time a minute or two)"])])
def test_a_worker_that_compiles_for_long_says_so(
    takes_s: float, said: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "SAY_S", 0.05)
    monkeypatch.setattr(worker, "warm_up", lambda _: time.sleep(takes_s))
    with caplog.at_level(logging.INFO, "freshet.worker"):
        asyncio.run(worker.compile_hot(Settings()))
    assert caplog.messages == said


def test_what_goes_wrong_while_compiling_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(worker, "warm_up", fail)
    with pytest.raises(OSError, match="no space left"):
        asyncio.run(worker.compile_hot(Settings()))
