"""Damage: something that must be in Redis is not there."""


class DamagedState(RuntimeError):
    """Something that must be in Redis is not there: keys were evicted or lost."""


def damaged(what: str) -> DamagedState:
    """The error for what is missing, with the way out."""
    return DamagedState(
        f"{what}: did Redis evict or lose keys? Set maxmemory-policy noeviction, and build the state anew from the topic: "
        "freshet rebuild (on a cluster: another FRESHET_KEY_PREFIX)"
    )


def missing_row(item: int) -> DamagedState:
    return damaged(f"the row of item {item:016x} is missing")
