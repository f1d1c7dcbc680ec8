"""Contexts: what is known of a visitor before her first event is, or with it, and what is counted apart.

The platform is a context by its own name (`web`), a country by `country:DE`, a category of the catalogue by
`category:Home > Kitchen`, and the empty context is that of everybody. What is popular on a platform and in a country is counted
on each partition; of categories the catalogue knows the items (`recsys.categories`).
"""

from functools import lru_cache

import msgspec

EVERYBODY = ""
COUNTRY, CATEGORY = "country:", "category:"
LONGEST = 64
"""Characters of a platform's name; a longer one is none."""
MOST_PLATFORMS, MOST_COUNTRIES = 32, 256
"""Counted on a partition; events may name others, and hostile ones will."""
RARE = 1000
"""A platform of fewer than one in so many of the interactions has no list: whoever invents platforms needs ever more events for
each, so lists stay few."""

_slots = msgspec.json.Decoder(list[tuple[str, int, int]])


def contexts(source: str | None, country: str | None) -> tuple[str, ...]:
    """The contexts in which an event counts.

    >>> contexts("web", "DE"), contexts(None, None), contexts("category:shoes", None)
    (('web', 'country:DE'), (), ())
    """
    return _contexts(source if source and len(source) <= LONGEST else None, country)


@lru_cache(1 << 10)
def _contexts(source: str | None, country: str | None) -> tuple[str, ...]:
    # A name with a colon could be that of another kind of context, and one of white space is nobody's.
    is_platform = source is not None and source.isprintable() and ":" not in source and not source.isspace()
    platform = (source,) if source is not None and is_platform else ()
    return platform + ((COUNTRY + country,) if country else ())


def of_landing(categories: tuple[str, ...], source: str | None, country: str | None) -> tuple[str, ...]:
    """The contexts of a visitor who lands on an item, the most telling first.

    `categories` are the item's, each after those that it is in.

    >>> of_landing(("Home", "Home > Kitchen"), "web", "DE")
    ('category:Home > Kitchen', 'category:Home', 'country:DE', 'web', '')
    """
    paths = tuple(CATEGORY + path for path in reversed(categories))
    return (*paths, *reversed(contexts(source, country)), EVERYBODY)


class Directory:
    """The platforms and countries that were met on a partition, each in its slot, with its interactions.

    Where there is no room for one more, it takes the slot of the one that was met least, and goes on with its number: so one
    that makes up more than a 32nd of the interactions is never lost, whatever others invent (Metwally, Agrawal, El Abbadi,
    2005, "Efficient computation of frequent and top-k elements in data streams").

    >>> met = Directory(None)
    >>> met.meet("web"), met.meet("country:DE"), met.meet("web")
    ((0, True), (1, True), (0, False))
    >>> Directory(met.pack()).slots
    {'web': 0, 'country:DE': 1}
    """

    def __init__(self, stored: bytes | None) -> None:
        found = _slots.decode(stored) if stored else []
        self.slots = {name: slot for slot, (name, *_) in enumerate(found)}
        self._met = [met for _, met, _ in found]
        self._inherited = [inherited for *_, inherited in found]

    def meet(self, name: str, times: int = 1) -> tuple[int, bool]:
        """So many more interactions: the slot of the context, and whether it is new there."""
        slot = self.slots.get(name)
        if slot is not None:
            self._met[slot] += times
            return slot, False
        is_country = name.startswith(COUNTRY)
        alike = [other for other in self.slots if other.startswith(COUNTRY) == is_country]
        if len(alike) < (MOST_COUNTRIES if is_country else MOST_PLATFORMS):
            slot = len(self._met)
            self._met.append(0)
            self._inherited.append(0)
        else:
            least = min(alike, key=lambda other: (self._met[self.slots[other]], other))
            slot = self.slots.pop(least)
            self._inherited[slot] = self._met[slot]
        self.slots[name] = slot
        self._met[slot] += times
        return slot, True

    def met_since(self, earlier: "Directory") -> list[str]:
        """The contexts that have a list and were met since this was `earlier`."""
        return [
            name
            for name, slot in self.slots.items()
            if (name not in earlier.slots or self._met[slot] != earlier._met[earlier.slots[name]]) and self.has_list(name)
        ]

    def has_list(self, name: str) -> bool:
        """Whether a context is told: each country is, and platforms that were met often enough for certain."""
        slot = self.slots.get(name)
        if slot is None or name.startswith(COUNTRY):
            return slot is not None
        everything = sum(self._met[at] for other, at in self.slots.items() if not other.startswith(COUNTRY))
        return (self._met[slot] - self._inherited[slot]) * RARE >= everything

    def pack(self) -> bytes:
        """The bytes to store."""
        in_order = sorted(self.slots, key=self.slots.__getitem__)
        return msgspec.json.encode(list(zip(in_order, self._met, self._inherited, strict=True)))
