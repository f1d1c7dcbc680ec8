"""How a worker ends: what goes wrong while it stops hides neither that it failed nor why."""

import asyncio
import time
from importlib import import_module

import pytest

from streams.cli.diagnosis import OWN, explained
from streams.worker import within


async def cancelled_before() -> None:
    """What a client does that is closed again after its first closing was broken off."""
    closed = asyncio.get_running_loop().create_future()
    closed.cancel()
    await closed


def test_what_was_cancelled_before_is_one_more_thing_that_went_wrong_while_stopping() -> None:
    async def fail() -> None:
        try:
            raise RuntimeError("why it ends")
        except RuntimeError:
            assert not await within(1.0, cancelled_before)
            raise

    with pytest.raises(RuntimeError, match="why it ends"):
        asyncio.run(fail())


def test_what_takes_too_long_is_left_behind() -> None:
    assert not asyncio.run(within(0.01, lambda: asyncio.sleep(60)))


def test_what_does_not_even_heed_that_it_is_cancelled_is_left_behind() -> None:
    async def end() -> float:
        heeded = asyncio.Event()

        async def stay() -> None:
            while not heeded.is_set():
                try:
                    await heeded.wait()
                except asyncio.CancelledError:
                    continue

        begun = time.monotonic()
        assert not await within(0.01, stay)
        took = time.monotonic() - begun
        heeded.set()
        return took

    assert asyncio.run(end()) < 5


def test_who_is_cancelled_while_something_ends_is_cancelled() -> None:
    async def end() -> None:
        ending = asyncio.create_task(within(60.0, lambda: asyncio.sleep(60)))
        await asyncio.sleep(0)
        ending.cancel()
        await ending

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(end())


@pytest.mark.parametrize(("module", "name"), OWN.items())
def test_an_error_of_ours_is_told_without_the_name_of_its_class(module: str, name: str) -> None:
    kind = getattr(import_module(module), name)
    assert issubclass(kind, Exception)
    error = kind.__new__(kind)
    error.args = ("it is so, and this mends it",)
    assert explained(error) == "it is so, and this mends it"
