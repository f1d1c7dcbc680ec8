"""Which generation of the state is live: for all that look at internal keys and are no worker."""

from recsys.connection import Client, read_values
from recsys.generations import live_name, named
from recsys.keys import LIVE, Keys


def live_keys(client: Client, prefix: str) -> Keys:
    """The keys of the generation that is live now."""
    return named(prefix, read_live(client, prefix))


def read_live(client: Client, prefix: str) -> str:
    """The name of the generation that is live now."""
    return live_name(read_values(client, [f"{prefix}{LIVE}"])[0])
