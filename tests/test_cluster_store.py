"""The store over a cluster: keys in all slots, slots that move, nodes that die, ids that look like hash tags."""

import asyncio
import random
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import ConnectionError

from recsys.connection import open_client, open_store, read_values
from recsys.keys import Keys
from recsys.store import Entry, MemoryStore, Store, Swap
from streams.local.cluster import LocalCluster, client
from streams.local.server import Server
from streams.settings import Settings

pytestmark = pytest.mark.parametrize("redis_kind", ["cluster"], indirect=True)


def test_a_cluster_does_in_all_its_slots_what_a_dictionary_does(namespace: Settings) -> None:
    rng = random.Random(1)
    p, tags = namespace.key_prefix, [f"{{t{n}}}" for n in range(50)]

    def keys_of_one_slot() -> list[str]:
        tag = rng.choice(tags)
        return [f"{p}{tag}:{n}" for n in rng.sample(range(6), rng.randint(1, 6))]

    def entry() -> Entry:
        version = rng.choice([0, 0, *range(1, 9)])
        value = b'{"n":%d,"version":%d}' % (rng.randrange(99), version) if version else b"%d" % rng.randrange(99)
        return Entry(f"{p}entry:{rng.randrange(40)}", value, rng.choice([0, 1000]), version)

    def swap() -> Swap:
        mark, *keys = keys_of_one_slot()
        values, mortal = {key: b"%d" % rng.randrange(9) for key in keys}, rng.randint(0, len(keys))
        expected, new, lifetime_s = rng.choice([None, b"0", b"1"]), rng.choice([b"0", b"1"]), rng.choice([0, 1000])
        return Swap(mark, expected, new, dict([*values.items()][:mortal]), lifetime_s, dict([*values.items()][mortal:]))

    async def on(store: Store, steps: Sequence[tuple[str, Any]]) -> list[object]:
        return [await getattr(store, operation)(argument) for operation, argument in steps]

    async def over_the_cluster(steps: Sequence[tuple[str, Any]]) -> list[object]:
        async with open_store(namespace.redis) as store:
            return await on(store, steps)

    makers = {"read": keys_of_one_slot, "swap": swap, "put": entry}
    steps: list[tuple[str, Any]] = []
    for _ in range(150):
        operation = rng.choice(list(makers))
        steps.append((operation, [makers[operation]() for _ in range(rng.randrange(30))]))
    everything = [[f"{p}{tag}:{n}" for n in range(6)] for tag in tags] + [[f"{p}entry:{n}"] for n in range(40)]
    steps.append(("read", everything))
    assert asyncio.run(over_the_cluster(steps)) == asyncio.run(on(MemoryStore(), steps))
    with open_client(namespace.redis) as redis:
        flat = [key for group in everything for key in group]
        values = read_values(redis, flat)
        assert set(redis.scan_iter(match=f"{p}*")) == {
            key.encode() for key, v in zip(flat, values, strict=True) if v is not None
        }


def test_an_id_that_looks_like_a_hash_tag_is_an_id_like_any_other(namespace: Settings) -> None:
    keys = Keys(namespace.key_prefix)
    ids = ["{u0}x", "{u0}", "{}", "}{", "{", "}", "{{u1}}", "x{i3}y{i4}", "\n{u1}\0", "ü{é}"]
    names = [make(each) for each in ids for make in (keys.recs, keys.similar, lambda user: keys.user(1, user))]

    async def write_and_read() -> list[list[bytes | None]]:
        async with open_store(namespace.redis) as store:
            assert await store.put([Entry(name, name.encode(), 100, n % 2) for n, name in enumerate(names)])
            users = {keys.user(1, each): each.encode() for each in ids}
            assert await store.swap([Swap(keys.user_mark(1), None, b"1", users)]) == [True]
            await store.put([Entry(keys.recs(each), b"again") for each in ids])
            return await store.read([[keys.user_mark(1), *users], *([keys.recs(each)] for each in ids)])

    [shard, *recommendations] = asyncio.run(write_and_read())
    assert shard == [b"1", *(each.encode() for each in ids)]
    assert recommendations == [[b"again"]] * len(ids)


def test_a_slot_that_moves_to_another_node_is_waited_for_and_followed(namespace: Settings, cluster: LocalCluster) -> None:
    p = namespace.key_prefix + "{i1}:"
    slot = key_slot(p.encode())
    names = [f"{p}{n}" for n in range(10)]
    source, target = owner(cluster, slot), next(node for node in cluster.nodes if node is not owner(cluster, slot))

    async def count_while_it_moves() -> None:
        async with open_store(namespace.redis) as store:
            assert await store.swap([Swap(names[0], None, b"1", dict.fromkeys(names[1:], b"x"))]) == [True]
            begin_moving(slot, source, target)
            move(names[:5], source, target)
            swapping = asyncio.create_task(store.swap([Swap(names[0], b"1", b"2", dict.fromkeys(names[1:], b"y"))]))
            reading = asyncio.create_task(store.read([[names[0]], [names[9]]]))
            await asyncio.sleep(0.3)
            assert not swapping.done()
            move(names[5:], source, target)
            end_moving(slot, cluster, target)
            assert await swapping == [True]
            assert [value in (b"1", b"2", b"x", b"y") for [value] in await reading] == [True, True]
            assert await store.read([names]) == [[b"2", *[b"y"] * 9]]

    asyncio.run(count_while_it_moves())
    assert owner(cluster, slot) is target
    with open_client(namespace.redis) as redis:
        assert read_values(redis, names[:2]) == [b"2", b"y"]


def test_a_node_that_dies_is_an_error_and_when_it_is_back_all_that_was_written_is_there(
    namespace: Settings, cluster: LocalCluster
) -> None:
    p = namespace.key_prefix
    shards = [f"{p}{{i{n}}}:" for n in range(32)]
    victim = cluster.nodes[1]

    async def write_while_a_node_dies() -> None:
        async with open_store(namespace.redis) as store:
            assert all(await store.swap([Swap(s + "mark", None, b"1", {s + "a": b"1"}) for s in shards]))
            victim.kill()
            with pytest.raises(ConnectionError):
                await store.swap([Swap(s + "mark", b"1", b"2", {s + "a": b"2"}) for s in shards])
            with pytest.raises(ConnectionError):
                await store.read([[s + "mark"] for s in shards])
            with pytest.raises(ConnectionError):
                await store.put([Entry(f"{p}{n}", b"x") for n in range(99)])
            cluster.start()
            found = await store.read([[s + "mark", s + "a"] for s in shards])
            expected = [b"1" if owner(cluster, key_slot(s.encode())) is victim else b"2" for s in shards]
            assert found == [[value, value] for value in expected]
            assert set(expected) == {b"1", b"2"}

    asyncio.run(write_while_a_node_dies())


@pytest.mark.usefixtures("redis_kind")
def test_the_address_of_a_cluster_does_not_lead_to_a_single_redis(redis_url: str) -> None:
    async def connected(url: str) -> None:
        async with open_store(url):
            pass

    of_no_cluster = redis_url.replace("redis://", "redis+cluster://")
    with pytest.raises(ConnectionError, match="Cluster mode is not enabled on this node"):
        asyncio.run(connected(of_no_cluster))
    with pytest.raises(ConnectionError, match="Cluster mode is not enabled on this node"), open_client(of_no_cluster):
        pass


def test_nodes_of_the_address_that_are_away_are_passed_over(namespace: Settings) -> None:
    scheme, _, nodes = namespace.redis.partition("://")
    address = f"{scheme}://127.0.0.1:1,{nodes}"

    async def written() -> bool:
        async with open_store(address) as store:
            return await store.put([Entry(namespace.key_prefix + "a", b"1")])

    assert asyncio.run(written())
    with open_client(address) as redis:
        assert redis.get(namespace.key_prefix + "a") == b"1"


def test_every_node_is_logged_in_to(namespace: Settings, cluster: LocalCluster) -> None:
    keys = [f"{namespace.key_prefix}{n}" for n in range(30)]

    async def written(url: str) -> bool:
        async with open_store(url) as store:
            return await store.put([Entry(key, b"1") for key in keys])

    with ExitStack() as stack:
        nodes = [stack.enter_context(client(node)) for node in cluster.nodes]
        try:
            for node in nodes:
                node.config_set("requirepass", "s:cret")
            with_password = namespace.redis.replace("://", "://default:s%3Acret@")
            assert asyncio.run(written(with_password))
            with open_client(with_password) as redis:
                assert read_values(redis, keys) == [b"1"] * 30
            for wrong in (namespace.redis, namespace.redis.replace("://", "://:wrong@")):
                with pytest.raises(ConnectionError, match=r"authenticated|password"):
                    asyncio.run(written(wrong))
        finally:
            for node in nodes:
                node.config_set("requirepass", "")


@pytest.mark.usefixtures("redis_kind")
def test_with_rediss_the_first_word_is_that_of_tls() -> None:
    async def connected(url: str) -> None:
        async with open_store(url):
            pass

    heard: list[bytes] = []

    def listen() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        ear = pool.submit(listen)
        address = f"rediss+cluster://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectionError):
            asyncio.run(connected(address))
        with pytest.raises(ConnectionError), open_client(address):
            pass
        ear.result(10)
    assert heard == [b"\x16", b"\x16"]  # a handshake


def owner(cluster: LocalCluster, slot: int) -> Server:
    """The node that has a slot."""
    with open_client(cluster.url) as redis:
        port = redis.nodes_manager.get_node_from_slot(slot).port  # type: ignore[union-attr]
    return next(node for node in cluster.nodes if node.port == port)


def number(node: Server) -> str:
    with client(node) as redis:
        found: Any = redis.execute_command("CLUSTER", "MYID")
    return str(found.decode())


def begin_moving(slot: int, source: Server, target: Server) -> None:
    with client(source) as here, client(target) as there:
        there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", number(source))
        here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", number(target))


def move(names: Sequence[str], source: Server, target: Server) -> None:
    with client(source) as redis:
        redis.migrate("127.0.0.1", target.port, list(names), 0, 5000)


def end_moving(slot: int, cluster: LocalCluster, target: Server) -> None:
    for node in [target, *cluster.nodes]:
        with client(node) as redis:
            redis.execute_command("CLUSTER", "SETSLOT", slot, "NODE", number(target))
