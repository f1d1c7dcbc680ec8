"""How long Redis stands still while a rebuilt state takes the place of the live one, and that readers always find a value.

python -m benchmarks.switching [public keys of each generation]
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

from redis import Redis

from streams.local.ports import free_port
from streams.local.redis import local_redis
from streams.rebuild.switch import switch

VALUE = b"x" * 2200
"""As long as a recommendation of 20 items with reasons."""
BATCH = 5000
PREFIX = "freshet:"


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        server = local_redis(Path(folder), free_port())
        server.start()
        try:
            with Redis(port=server.port, socket_timeout=None) as client:
                print(f"Redis {client.info()['redis_version']}, values of {len(VALUE)} bytes")
                for keys in (most // 10, most):
                    measure(client, keys)
        finally:
            server.stop()


def measure(client: Redis, keys: int) -> None:
    """Switches once between two generations of `keys` public keys each, beside as many internal ones."""
    client.flushall()
    for kind in ("recs:", "g2:recs:", "{u0}:user:", "g2:{u0}:user:"):
        for at in range(0, keys, BATCH):
            pipeline = client.pipeline(transaction=False)
            for n in range(at, at + BATCH):
                pipeline.set(f"{PREFIX}{kind}user-{n}", VALUE if "recs" in kind else b"x" * 700, ex=90 * 86_400)
            pipeline.execute()
    done = threading.Event()
    waits: list[float] = []
    reader = threading.Thread(target=read, args=(client.connection_pool.connection_kwargs["port"], done, waits))
    reader.start()
    time.sleep(0.5)
    switched = switch(client, PREFIX, "g1", "g2", 1, leave_none=True)
    time.sleep(0.5)
    done.set()
    reader.join()
    print(
        f"{keys:,} public keys of each generation, {4 * keys:,} keys in all: switched in {switched.seconds:.2f} s; "
        f"Redis stood still for {max(waits):.2f} s, {max(waits) / keys * 100_000:.2f} s for each 100 000"
    )


def read(port: int, done: threading.Event, waits: list[float]) -> None:
    with Redis(port=port, socket_timeout=None) as client:
        while not done.is_set():
            begun = time.monotonic()
            assert client.get(f"{PREFIX}recs:user-7"), "a reader found nothing"
            waits.append(time.monotonic() - begun)
            time.sleep(0.001)


if __name__ == "__main__":
    main()
