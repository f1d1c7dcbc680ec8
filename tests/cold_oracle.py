"""What is counted for cold starts, by context and of recommendations that were shown and clicked, counted once more."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from oracle import INTERACTIONS, Recount, country_of

from recsys.cold import tables, trials
from recsys.cold.contexts import Directory
from recsys.hashing import hash_id
from recsys.keys import Keys

PLATFORMS = ("web", "ios")
"""The sources of the tests' events that are platforms; they have others, whose names are none."""


class Counted(NamedTuple):
    met: dict[str, Counter[str]]
    """By context the interactions of items."""
    shown: Counter[str]
    clicked: Counter[str]


def recounted(truth: Recount) -> Counted:
    """By the words of the contract."""
    found = Counted(defaultdict(Counter), Counter(), Counter())
    for event in truth.events:
        answers = event.fields.get("recommendation_id") is not None
        if event.kind == "impression" and answers:
            found.shown.update(set(event.items))
        if event.kind == "click" and answers:
            found.clicked.update(set(event.items))
        if event.kind not in INTERACTIONS:
            continue
        source, country = event.fields.get("source"), country_of(event)
        for name in ([source] if source in PLATFORMS else []) + ([f"country:{country}"] if country else []):
            found.met[name].update(event.items)
    return found


def stored(values: Mapping[str, bytes | None], keys: Keys, partitions: int, items: Iterable[str]) -> Counted:
    """The same as a store has it, of these items and of no others."""
    ids = {hash_id(item): item for item in items}
    found = Counted(defaultdict(Counter), Counter(), Counter())
    for partition in range(partitions):
        for name, slot in Directory(values.get(keys.contexts(partition))).slots.items():
            table = tables.unpack([values[keys.context(partition, slot)]])
            for i in range(table.length[0]):
                found.met[name][ids[int(table.item[0, i])]] += int(table.interactions[0, i])
        for number, item in ids.items():
            bucket = trials.unpack(values.get(keys.trials(partition, trials.place(number))))
            tried = bucket.get(number, trials.NO_TRIALS)
            found.shown[item] += tried.shown
            found.clicked[item] += tried.clicked
    return Counted(found.met, +found.shown, +found.clicked)
