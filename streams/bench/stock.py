"""A stock Faust agent that does nothing: what Faust itself costs. `python -m streams.bench.stock`"""

from collections.abc import AsyncIterator

from streams.bench.agent import Seen, run, stock_app
from streams.settings import read_settings
from streams.topics import EVENTS

settings = read_settings()
app = stock_app(settings)
seen = Seen()


@app.agent(app.topic(settings.topic(EVENTS)))  # type: ignore[untyped-decorator]
async def nothing(events: AsyncIterator[bytes]) -> None:
    async for _ in events:
        seen.one()


if __name__ == "__main__":
    run(app, seen)
