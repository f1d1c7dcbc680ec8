"""Cold starts on a running worker: lists that answer before any event of a visitor, and what new items have to show for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_catalogue_stream import Shop
from workers import Workers, wait_until

from recsys.connection import open_client
from streams.settings import Settings
from streams.topics import EVENTS


class ColdShop(Shop):
    """A shop whose visitors come from somewhere."""

    def meet(self, user: str, item: str, kind: str = "view", **fields: Any) -> None:
        event = {"event_type": kind, "user_id": user, "item_id": item, **fields}
        self._producer.send(self.settings.topic(EVENTS), json.dumps(event).encode(), key=user.encode())

    def cold(self, context: str = "") -> dict[str, Any]:
        """By item, what a list says of it; nothing where there is no list."""
        found = self.stored(self.keys.cold(context))
        return {item["item_id"]: item for item in json.loads(found)["items"]} if found else {}

    def message(self, user: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stored(self.keys.recs(user)) or b"{}")
        return found


@pytest.fixture
def shop(namespace: Settings) -> Iterator[ColdShop]:
    with open_client(namespace.redis) as redis:
        shop = ColdShop(namespace, redis)
        yield shop
        shop.close()


@pytest.fixture
def workers(shop: ColdShop, environ: dict[str, str], tmp_path: Path) -> Iterator[Workers]:  # noqa: ARG001 (first the topics)
    with Workers(environ, tmp_path).supervised() as workers:
        yield workers


def test_who_is_new_is_shown_what_is_popular_and_new_where_she_comes_from(shop: ColdShop, workers: Workers) -> None:
    worker = workers.start().wait_ready()
    shop.put("pot", categories=["Home > Kitchen"])
    for n in range(24):
        shop.meet(f"v{n}", "pot" if n % 3 else "app-only", source="web" if n % 3 else "ios", country="DE" if n % 2 else "FR")
    wait_until(lambda: shop.cold("web").get("pot", {}).get("reasons", [{}])[0].get("count") == 16, "web had a list")
    wait_until(lambda: next(iter(shop.cold("ios")), None) == "app-only", "ios had another one")
    wait_until(lambda: shop.cold("country:DE") and shop.cold("category:Home > Kitchen") and shop.cold(), "all had lists")
    assert 0 < int(shop.redis.ttl(shop.keys.cold("web"))) <= shop.settings.retention_s

    shop.put("mug", categories=["Home > Kitchen"])
    for n in range(20):
        shop.meet(f"i{n}", "mug", "impression", recommendation_id="cold-1", position=3)
    shop.meet("i0", "mug", "click", recommendation_id="cold-1", position=3)
    wait_until(lambda: {**shop.cold("category:Home > Kitchen").get("mug", {}), "score": 0, "reasons": 0} == {
        "item_id": "mug", "score": 0, "reasons": 0, "shown": 20, "clicked": 1,
    }, "what was learned of the new item was told")  # fmt: skip

    shop.meet("me", "unheard-of", source="ios")
    wait_until(lambda: shop.message("me"), "a new visitor had an answer")
    assert shop.message("me")["strategy"] == "cold_start"
    assert shop.message("me")["items"][0]["reasons"][0] == {"kind": "trending", "share": 1.0, "count": 8, "context": "ios"}

    shop.delete("mug")
    lists = ("", "web", "ios", "country:DE", "country:FR", "category:Home", "category:Home > Kitchen")
    wait_until(lambda: not any("mug" in shop.cold(context) for context in lists), "what was deleted was in no list")
    assert worker.terminate() == 0
