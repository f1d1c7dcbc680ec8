"""The last word on each item: which record of the topic `items` holds where several of its partitions have one.

That is so after partitions were added: an item's old records stay where they were, its new ones come elsewhere.
"""

from recsys.catalogue.catalogue import Catalogue
from recsys.catalogue.deletions import Deletions
from recsys.catalogue.item import CatalogueItem

PARTITIONS = 1 << 20
"""More than a topic has: a word's time and partition are one number."""


class LastWords:
    """Brings records of the topic into a catalogue. Each partition's in their order; in which order partitions come is all one.

    Of an item's records on one partition the last holds; of those on several that partition's which had the newest one, by
    the records' timestamps in ms, and of equally new ones the higher partition's.

    >>> words = LastWords(Catalogue())
    >>> words.hear(5, 0, 20, "mug"), words.hear(1, 7, 10, CatalogueItem("mug")), words.is_hidden("mug")
    (True, False, True)
    >>> words.hear(1, 8, 30, CatalogueItem("mug")), words.is_hidden("mug"), words.deletions[5].items
    (True, False, {})
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.deletions: dict[int, Deletions] = {}
        """By partition: of items that another one speaks for there are none."""
        self.unnoted: set[int] = set()
        """The partitions whose deletions changed; who notes them takes them out."""
        self._catalogue = catalogue
        self._words: dict[str, int] = {}
        self._unavailable: set[str] = set()

    def open(self, partition: int, deletions: Deletions) -> None:
        """Takes what is noted of a partition, of which nothing was heard yet."""
        self.deletions[partition] = Deletions(until=deletions.until)
        for item, when in deletions.items.items():
            if self._claim(item, when, partition):
                self._remove(item)
                self._note(item, partition)
            else:
                self.unnoted.add(partition)

    def hear(self, partition: int, offset: int, when: int, told: CatalogueItem | str) -> bool:
        """Takes a record: an item, or the id of one that is deleted. Returns whether it holds for now."""
        item = told if isinstance(told, str) else told.item_id
        deletions = self.deletions.setdefault(partition, Deletions())
        if offset <= deletions.until and item in deletions.items:
            return False  # it is deleted by a later record, or was by one that Kafka has forgotten
        if not self._claim(item, when, partition):
            return False
        if isinstance(told, str):
            self._remove(item)
            if offset > deletions.until:  # else something later holds, or it would be noted
                self._note(item, partition)
                self.unnoted.add(partition)
            return True
        self._catalogue.put(told, when)
        if deletions.items.pop(item, None) is not None:
            self.unnoted.add(partition)
        if told.available:
            self._unavailable.discard(item)
        else:
            self._unavailable.add(item)
        return True

    def speaks(self, partition: int, item: str) -> bool:
        """Whether the record that holds is one of this partition."""
        return item in self._words and self._words[item] % PARTITIONS == partition

    def is_hidden(self, item: str) -> bool:
        if item in self._unavailable:
            return True
        return item in self._words and item in self.deletions[self._words[item] % PARTITIONS].items

    def _claim(self, item: str, when: int, partition: int) -> bool:
        word, last = when * PARTITIONS + partition, self._words.get(item)
        if last is not None:
            speaker = last % PARTITIONS
            if speaker == partition:
                word = max(word, last)  # so that the order in which partitions are heard stays all one
            elif word < last:
                return False
            elif self.deletions[speaker].items.pop(item, None) is not None:
                self.unnoted.add(speaker)
        self._words[item] = word
        return True

    def _remove(self, item: str) -> None:
        self._catalogue.remove(item)
        self._unavailable.discard(item)

    def _note(self, item: str, partition: int) -> None:
        self.deletions[partition].items[item] = self._words[item] // PARTITIONS
