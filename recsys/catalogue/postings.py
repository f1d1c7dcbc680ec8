"""Postings: the items of an inverted index and the terms they have, put, removed, and hidden."""

from recsys.catalogue.columns import (
    CHANGES,
    ENTRIES,
    FREE_PLACE,
    ITEMS,
    PLACES,
    STEP,
    Postings,
    give_back,
    take,
)
from recsys.catalogue.posting_lists import post, row_of, unpost
from recsys.compiled import F32, U64, compiled
from recsys.index import NOWHERE, enter, find, forget


@compiled
def put(postings: Postings, item: int, term: U64, weight: F32) -> bool:
    """Gives an item these terms, by rising hash, and no others. Returns whether that changes anything."""
    counter = postings.counter
    place = find(postings.where, item)
    if place == NOWHERE:
        place = _new_place(postings, item)
    elif _equal(postings, place, term, weight):
        return False
    old, end = postings.start[place], postings.start[place] + postings.terms[place]
    _drop_others(postings, place, term)
    start = _entries(postings, len(term))
    for i in range(len(term)):
        while old < end and (postings.row[old] == NOWHERE or postings.key[postings.row[old]] < term[i]):
            old += 1
        e = start + i
        if old < end and postings.key[postings.row[old]] == term[i]:
            postings.row[e], postings.at[e] = postings.row[old], postings.at[old]
        else:
            postings.row[e], postings.at[e] = row_of(postings, term[i]), NOWHERE
        postings.weight[e] = weight[i]
    _free_entries(postings, place)
    postings.start[place], postings.terms[place] = start, len(term)
    for e in range(start, start + len(term)):
        if postings.at[e] == NOWHERE:
            post(postings, place, e)
    counter[CHANGES] += 1
    postings.version[place] = counter[CHANGES]
    return True


@compiled
def remove(postings: Postings, item: int) -> bool:
    """Takes an item out. Returns whether it was there."""
    counter = postings.counter
    place = find(postings.where, item)
    if place == NOWHERE:
        return False
    for e in range(postings.start[place], postings.start[place] + postings.terms[place]):
        unpost(postings, place, e)
    _free_entries(postings, place)
    forget(postings.where, item)
    postings.terms[place], postings.shown[place] = 0, False
    give_back(counter, FREE_PLACE, postings.start, place)
    counter[ITEMS] -= 1
    counter[CHANGES] += 1
    postings.version[place] = counter[CHANGES]
    return True


@compiled
def show(postings: Postings, item: int, shown: bool) -> bool:
    """Lets an item be in results, or not. Returns whether that changes anything."""
    place = find(postings.where, item)
    if place == NOWHERE or postings.shown[place] == shown:
        return False
    postings.shown[place] = shown
    postings.counter[CHANGES] += 1
    postings.version[place] = postings.counter[CHANGES]
    return True


@compiled
def _equal(postings: Postings, place: int, term: U64, weight: F32) -> bool:
    if postings.terms[place] != len(term):
        return False
    start = postings.start[place]
    for i in range(len(term)):
        if postings.key[postings.row[start + i]] != term[i] or postings.weight[start + i] != weight[i]:
            return False
    return True


@compiled
def _drop_others(postings: Postings, place: int, term: U64) -> None:
    """Takes an item out of the lists of all terms but these."""
    i = 0
    for e in range(postings.start[place], postings.start[place] + postings.terms[place]):
        key = postings.key[postings.row[e]]
        while i < len(term) and term[i] < key:
            i += 1
        if i == len(term) or term[i] != key:
            unpost(postings, place, e)


@compiled
def _new_place(postings: Postings, item: int) -> int:
    counter = postings.counter
    place = take(counter, FREE_PLACE, postings.start, counter, PLACES, 1)
    counter[ITEMS] += 1
    postings.item[place], postings.start[place], postings.terms[place], postings.shown[place] = item, 0, 0, True
    enter(postings.where, item, place)
    return place


@compiled
def _entries(postings: Postings, terms: int) -> int:
    """Room for so many terms, the first entry of it."""
    size_class = (terms + STEP - 1) // STEP
    return take(postings.free, size_class, postings.row, postings.counter, ENTRIES, size_class * STEP)


@compiled
def _free_entries(postings: Postings, place: int) -> None:
    size_class = (postings.terms[place] + STEP - 1) // STEP
    if size_class:
        give_back(postings.free, size_class, postings.row, postings.start[place])
