"""The agent of the textbooks: an event at a time, a Redis command for each pair, an awaited send for each event.

It remembers the same history and pairs within the same window as Freshet, and ranks by counts alone: no second hop, no
learning, no reasons, and after a crash its counts are wrong. `python -m streams.bench.naive`
"""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from streams.bench.agent import Seen, run, stock_app
from streams.settings import read_settings
from streams.topics import EVENTS, RECOMMENDATIONS

settings = read_settings()
app = stock_app(settings)
published = app.topic(settings.topic(RECOMMENDATIONS))
seen = Seen()


@app.agent(app.topic(settings.topic(EVENTS)))  # type: ignore[untyped-decorator]
async def recommend(events: AsyncIterator[bytes]) -> None:
    redis: Any = Redis.from_url(settings.redis, decode_responses=True)
    prefix = settings.key_prefix
    async for value in events:
        event = json.loads(value)
        user, item = event.get("user_id") or f"anon:{event['anonymous_id']}", event["item_id"]
        recent = await redis.lrange(f"{prefix}history:{user}", 0, settings.window - 1)
        for other in {*recent} - {item}:
            await redis.zincrby(f"{prefix}met:{item}", 1, other)
            await redis.zincrby(f"{prefix}met:{other}", 1, item)
        await redis.lpush(f"{prefix}history:{user}", item)
        await redis.ltrim(f"{prefix}history:{user}", 0, settings.history - 1)
        scores: Counter[str] = Counter()
        for each in {item, *recent}:
            for other, count in await redis.zrevrange(f"{prefix}met:{each}", 0, settings.top_n, withscores=True):
                scores[other] += count
        del scores[item]
        items = [{"item_id": other, "score": score} for other, score in scores.most_common(settings.top_n)]
        message = json.dumps({"user_id": user, "items": items}).encode()
        await redis.set(f"{prefix}recs:{user}", message, ex=settings.retention_s)
        await published.send(key=user.encode(), value=message)
        seen.one()


if __name__ == "__main__":
    run(app, seen)
