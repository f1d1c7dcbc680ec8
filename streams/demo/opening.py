"""The opened shop: its events on their way to the topic, in a thread, and told to the board."""

import threading
import time
from random import Random
from types import TracebackType
from typing import Self

import msgspec

from recsys.events import decode
from streams.demo.board import Board
from streams.demo.mishaps import sendings
from streams.demo.pace import on_time
from streams.demo.plan import Plan
from streams.sender import Sender
from streams.shop.shoppers import crowd
from streams.shop.traffic import events


class OpenShop:
    """A thread that sends a shop's events at a rate until it is closed."""

    def __init__(self, plan: Plan, sender: Sender, board: Board) -> None:
        self.sender = sender
        self.board = board
        rng = Random(plan.seed)
        shoppers = crowd(rng, plan.shoppers, plan.catalogue)
        board.open()
        self._closing = threading.Event()
        self._mishaps = Random(rng.getrandbits(64))
        self._stream = events(rng, plan.catalogue, shoppers, rate=plan.rate, start_ms=round(time.time() * 1000))
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)
        self._thread.start()

    @property
    def open(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            for _, fields in on_time(self._stream, self.board.opened, self._closing):
                if self.sender.failure:
                    return
                value = msgspec.json.encode(fields)
                event = decode(value, round(time.time() * 1000))
                self.board.event(event, fields)
                for sending in sendings(self._mishaps, value, event.home_id.encode()):
                    self.board.mishap(sending.mishap)
                    self.sender.send_as(sending.value, sending.key, self.board.acknowledged)
        except Exception as error:  # noqa: BLE001 (told to whoever closes it)
            self._failure = error

    def close(self) -> None:
        """No more events; returns when the broker has all of them. Raises what went wrong."""
        self._closing.set()
        self._thread.join()
        self.sender.close()
        if self._failure:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closing.set()
        self._thread.join()
        self.sender.abandon()
