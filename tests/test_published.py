"""The published marks: written by compare-and-set, moved back by whoever was late, met by the owner."""

import asyncio

from recsys.engine import Engine
from recsys.keys import Keys
from recsys.rules import Rules
from recsys.store import MemoryStore
from streams.published import PublishedMarks

KEYS = Keys("p:")


class Scene:
    """An owner of partition 0 and a worker that had it before, on one store in which 10 is published."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.store.values[KEYS.published(0)] = b"10"
        engine = Engine(self.store, KEYS, Rules())
        self.owner, self.late = (PublishedMarks(self.store, KEYS, engine) for _ in range(2))
        for marks in (self.late, self.owner):
            marks.begin(0, 10)

    def publish(self, marks: PublishedMarks, end: int) -> list[int]:
        marks.note({0: end})
        return asyncio.run(marks.write(marks.take()))

    @property
    def published(self) -> int:
        return int(self.store.values[KEYS.published(0)])


def test_marks_move_on_with_what_is_out() -> None:
    scene = Scene()
    assert scene.publish(scene.owner, 20) == []
    assert scene.publish(scene.owner, 30) == []
    assert scene.published == scene.owner.offsets[0] == 30


def test_a_late_worker_moves_nothing_forward() -> None:
    scene = Scene()
    scene.publish(scene.owner, 20)
    assert scene.publish(scene.late, 25) == [0]
    assert scene.published == 20


def test_the_owner_meets_a_mark_that_was_moved_back() -> None:
    scene = Scene()
    scene.publish(scene.owner, 20)
    asyncio.run(scene.late.move_back())
    assert scene.published == 10
    assert scene.publish(scene.owner, 30) == [0]
    scene.owner.begin(0, scene.published)
    assert scene.publish(scene.owner, 30) == []
    assert scene.published == 30


def test_an_owner_with_nothing_to_publish_meets_it_when_it_looks() -> None:
    scene = Scene()
    scene.publish(scene.owner, 20)
    assert asyncio.run(scene.owner.write(scene.owner.known([0, 1]))) == []
    asyncio.run(scene.late.move_back())
    assert asyncio.run(scene.owner.write(scene.owner.known([0, 1]))) == [0]


def test_what_was_out_before_a_partition_was_begun_anew_is_not_noted() -> None:
    scene = Scene()
    scene.owner.note({0: 20})
    taken = scene.owner.take()
    scene.owner.begin(0, 10)
    assert asyncio.run(scene.owner.write(taken)) == []
    assert scene.published == 10


def test_a_partition_that_was_begun_though_another_worker_had_it_by_then_is_not_moved_back() -> None:
    scene = Scene()
    scene.late.keep([1])
    scene.publish(scene.owner, 20)
    asyncio.run(scene.late.move_back())
    assert scene.published == 20
    assert 0 not in scene.late.offsets


def test_a_partition_that_was_given_up_in_good_time_is_not_moved_back() -> None:
    scene = Scene()
    scene.late.give_up([0])
    scene.publish(scene.owner, 20)
    asyncio.run(scene.late.move_back())
    assert scene.published == 20
    assert scene.publish(scene.late, 30) == []
    assert scene.published == 20


def test_what_was_under_way_when_a_partition_was_lost_is_moved_back_to_before_it_although_the_partition_came_back() -> None:
    scene = Scene()
    scene.late.open([0])
    scene.publish(scene.owner, 20)
    scene.late.begin(0, 20)
    asyncio.run(scene.late.move_back_open([0]))
    assert scene.published == 10
    scene = Scene()
    scene.late.open([0])
    scene.publish(scene.owner, 20)
    scene.late.begin(0, 20)
    asyncio.run(scene.late.move_back())
    assert scene.published == 10


def test_a_mark_is_only_ever_moved_back_by_the_late() -> None:
    scene = Scene()
    scene.publish(scene.late, 20)
    scene.store.values[KEYS.published(0)] = b"5"
    asyncio.run(scene.late.move_back())
    assert scene.published == 5
