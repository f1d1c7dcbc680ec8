"""The doctor looks at every node of a cluster, and says what is missing for the promise to hold."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis.crc import key_slot
from redis.exceptions import ResponseError
from test_cluster_store import number, owner
from workers import wait_until

from recsys.keys import Keys
from streams.cli import main
from streams.local.cluster import CONFIGURATION, SLOTS, LocalCluster, client, state
from streams.local.ports import HOST, free_cluster_port
from streams.local.redis import local_redis
from streams.local.server import Server
from streams.settings import Settings

pytestmark = pytest.mark.parametrize("redis_kind", ["cluster"], indirect=True)
Found = dict[str, dict[str, str]]
NOTHING = {"status": "", "todo": ""}


@pytest.fixture
def findings(variables: Mapping[str, str]) -> Callable[[], Found]:
    """Runs the doctor; what it found of Redis, by name."""

    def examine() -> Found:
        result = CliRunner().invoke(main, ["doctor", "--json"], env=dict(variables))
        return {found["what"]: found for found in json.loads(result.stdout) if found["area"] == "redis"}

    return examine


def failures(found: Found) -> set[str]:
    return {what for what, each in found.items() if each["status"] != "ok"}


def name(node: Server) -> str:
    return f"{HOST}:{node.port}"


def unassigned(cluster: LocalCluster, slot: int) -> bool:
    """Take the slot from every node that believes it to be somebody's. None did?

    Its owner must be the first: who forgets it earlier is told of it again, and what the owner said before may still arrive.
    """
    believers = [node for node in cluster.nodes[::-1] if state(node)["cluster_slots_assigned"] != str(SLOTS - 1)]
    for node in believers:
        with client(node) as redis:
            redis.execute_command("CLUSTER", "DELSLOTS", slot)
    return not believers


@contextmanager
def configured(node: Server, setting: str, value: str) -> Iterator[None]:
    """A node with another value of a setting."""
    with client(node) as redis:
        before = {str(key): str(found) for key, found in redis.config_get(setting).items()}
        redis.config_set(setting, value)
        try:
            yield
        finally:
            redis.config_set(setting, before[setting])


def test_each_node_of_a_cluster_that_is_well_is_named(findings: Callable[[], Found], cluster: LocalCluster) -> None:
    found = findings()
    assert failures(found) == set()
    assert found["slots"]["found"] == "all on 3 nodes"
    for node in cluster.nodes:
        assert "appendfsync always" in found[f"persistence of {name(node)}"]["found"]
        assert {f"{what} of {name(node)}" for what in ("version", "memory", "eviction", "coverage")} <= set(found)


@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [
        ("appendonly", "no", "appendonly yes"),
        ("appendfsync", "everysec", "appendfsync always"),
        ("no-appendfsync-on-rewrite", "yes", "no-appendfsync-on-rewrite no"),
    ],
)
def test_a_node_that_may_lose_what_it_acknowledged_is_a_failure(
    findings: Callable[[], Found], cluster: LocalCluster, setting: str, value: str, wanted: str
) -> None:
    node = cluster.nodes[2]
    with configured(node, setting, value):
        found = findings()
    assert failures(found) == {f"persistence of {name(node)}"}
    assert found[f"persistence of {name(node)}"]["todo"].startswith(f"set {wanted}: ")


def test_a_node_that_evicts_is_a_failure(findings: Callable[[], Found], cluster: LocalCluster) -> None:
    node = cluster.nodes[0]
    with configured(node, "maxmemory", str(10**9)), configured(node, "maxmemory-policy", "allkeys-lru"):
        assert failures(findings()) == {f"eviction of {name(node)}"}


def test_a_node_that_is_down_is_a_failure_and_the_others_are_looked_at(
    findings: Callable[[], Found], cluster: LocalCluster
) -> None:
    down, *others = cluster.nodes
    down.kill()
    found = findings()
    assert found[f"node {name(down)}"]["status"] == "failure"
    assert "start it again with its data" in found[f"node {name(down)}"]["todo"]
    assert {f"persistence of {name(node)}" for node in others} <= set(found)


def test_slots_without_a_node_are_a_failure(findings: Callable[[], Found], cluster: LocalCluster) -> None:
    slot = 16_383  # the last node's
    try:
        wait_until(lambda: unassigned(cluster, slot), "no node held the slot for somebody's")
        found = findings()
        assert found["slots"]["found"] == "1 of 16,384 belong to no node"
    finally:
        with client(cluster.nodes[2]) as redis:
            redis.execute_command("CLUSTER", "ADDSLOTS", slot)
        cluster.wait_ready()


def test_a_replica_that_may_take_over_is_a_failure(
    findings: Callable[[], Found], cluster: LocalCluster, tmp_path: Path
) -> None:
    replica = local_redis(tmp_path, free_cluster_port(), lines=CONFIGURATION)
    replica.start()
    try:
        with client(replica) as redis:
            redis.execute_command("CLUSTER", "MEET", HOST, cluster.nodes[0].port)
            wait_until(
                lambda: all(state(node).get("cluster_known_nodes") == "4" for node in [replica, *cluster.nodes]),
                "every node knew the replica",
            )
            wait_until(lambda: replicates(replica, cluster.nodes[0]), "it replicated")
            redis.config_set("cluster-replica-no-failover", "no")
            what = f"failover of {name(replica)}"
            todo = "set cluster-replica-no-failover yes"
            wait_until(lambda: findings().get(what, NOTHING)["todo"].startswith(todo), "it was a failure", every=0.3)
            redis.config_set("cluster-replica-no-failover", "yes")
            wait_until(lambda: findings().get(what, NOTHING)["status"] == "ok", "it was well", every=0.3)
    finally:
        leaver = number(replica)
        replica.stop()
        wait_until(lambda: all(forgets(node, leaver) for node in cluster.nodes), "the replica was forgotten")


def forgets(node: Server, leaver: str) -> bool:
    """Makes a node forget one that is gone; whether it knows three now."""
    with client(node) as redis, suppress(ResponseError):  # it does not know it
        redis.execute_command("CLUSTER", "FORGET", leaver)
    return state(node).get("cluster_known_nodes") == "3"


def replicates(replica: Server, primary: Server) -> bool:
    """Makes it a replica, once it knows its primary."""
    with client(replica) as redis:
        try:
            redis.execute_command("CLUSTER", "REPLICATE", number(primary))
        except ResponseError:
            return False
    return True


def test_a_look_up_at_a_node_of_a_cluster_says_that_it_is_one(
    variables: Mapping[str, str], namespace: Settings, cluster: LocalCluster
) -> None:
    slot = key_slot(Keys(namespace.key_prefix).trending.encode())
    other = next(node for node in cluster.nodes if node is not owner(cluster, slot))
    failed = CliRunner().invoke(main, ["trending"], env={**variables, "FRESHET_REDIS": f"redis://{name(other)}/0"})
    assert failed.exit_code == 1
    assert failed.stderr.startswith(f"freshet: Redis at redis://{name(other)}/0 is a node of a cluster: set FRESHET_REDIS")


def test_a_cluster_that_does_not_answer_is_a_failure_of_one_line_without_the_password(variables: Mapping[str, str]) -> None:
    absent = {**variables, "FRESHET_REDIS": "redis+cluster://me:secret@127.0.0.1:1,127.0.0.1:2"}
    failed = CliRunner().invoke(main, ["trending"], env=absent)
    assert (failed.exit_code, len(failed.stderr.splitlines())) == (1, 1)
    assert failed.stderr.startswith(
        "freshet: Redis at redis+cluster://me:***@127.0.0.1:1,127.0.0.1:2 does not answer (Error 111"
    )
    found = json.loads(CliRunner().invoke(main, ["doctor", "--json"], env=absent).stdout)
    assert [each["found"] for each in found if (each["area"], each["what"]) == ("redis", "connection")]
    assert "secret" not in json.dumps(found)


def test_the_address_of_one_redis_that_leads_to_a_node_of_a_cluster_is_a_failure_that_names_the_other_kind(
    variables: Mapping[str, str], cluster: LocalCluster
) -> None:
    alone = {**variables, "FRESHET_REDIS": f"redis://{name(cluster.nodes[0])}/0"}
    failed = CliRunner().invoke(main, ["doctor"], env=alone)
    assert failed.exit_code == 1
    assert "first redis kind: a node of a cluster: set FRESHET_REDIS to redis+cluster://" in failed.stderr
