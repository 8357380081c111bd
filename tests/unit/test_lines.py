"""The queue between reader and writer is bounded, keeps order, and never loses what it took."""

import threading
import time

from core.lines import LineQueue


def test_items_come_out_in_order_and_in_batches():
    queue: LineQueue[int] = LineQueue()
    for number in range(5):
        assert queue.put(number)
    assert queue.take(3, 0, 0) == [0, 1, 2]
    assert queue.take(3, 0, 0) == [3, 4]
    assert queue.take(3, 0, 0) == []


def test_a_full_queue_makes_the_reader_wait_and_loses_nothing():
    queue: LineQueue[int] = LineQueue(limit=10)
    reader = threading.Thread(target=lambda: [queue.put(number) for number in range(1000)])
    reader.start()
    taken: list[int] = []
    while len(taken) < 1000:
        assert len(queue) <= 10
        taken += queue.take(7, 5.0, 0)
    reader.join()
    assert taken == list(range(1000))


def test_large_items_fill_the_queue_by_their_bytes():
    queue: LineQueue[int] = LineQueue(limit=100, limit_bytes=10)
    queue.put(1, size=20)
    waiting = threading.Thread(target=queue.put, args=(2, 20))
    waiting.start()
    time.sleep(0.05)
    assert len(queue) == 1
    assert queue.take(9, 0, 0) == [1]
    waiting.join(120)
    assert queue.take(9, 0, 0) == [2]


def test_a_batch_waits_for_company_but_not_longer_than_its_time():
    queue: LineQueue[int] = LineQueue()
    queue.put(1)
    later = threading.Timer(0.02, queue.put, (2,))
    later.start()
    assert queue.take(2, 1.0, 30.0) == [1, 2]
    queue.put(3)
    assert queue.take(2, 1.0, 0.01) == [3]


def test_closing_wakes_a_waiting_reader_and_keeps_what_was_taken():
    queue: LineQueue[int] = LineQueue(limit=1)
    queue.put(1)
    answers: list[bool] = []
    reader = threading.Thread(target=lambda: answers.append(queue.put(2)))
    reader.start()
    queue.close()
    reader.join(120)
    assert answers == [False]
    assert queue.take(5, 0, 0) == [1]
    assert not queue.put(3)


def test_a_put_may_wait_for_so_long_only_or_go_beyond_the_limit():
    queue: LineQueue[int] = LineQueue(limit=2, limit_bytes=100)
    assert queue.put(1, 50, wait=0.0)
    assert queue.fill == 0.5
    assert queue.put(2, 10, wait=0.0)
    assert queue.fill == 1.0
    assert not queue.put(3, wait=0.0)
    assert not queue.put(3, wait=0.05)
    assert queue.put(4, over=True)
    assert queue.take(9, 0, 0) == [1, 2, 4]
    assert queue.fill == 0.0
    queue.close()
    assert queue.closed
    assert not queue.put(5, wait=0.0)
    assert not queue.put(5, over=True)


def test_many_are_taken_in_order_as_far_as_there_is_room_by_number():
    queue: LineQueue[int] = LineQueue(limit=3)
    assert queue.put_all([1, 2], [5, 5]) == 2
    assert queue.put_all([3, 4, 5], [5, 5, 5]) == 1
    assert queue.put_all([4, 5], [5, 5]) == 0
    assert queue.put(9, 1, over=True)
    assert queue.put_all([4, 5], [5, 5]) == 0
    assert (len(queue), queue.bytes) == (4, 16)
    assert queue.take(9, 0, 0) == [1, 2, 3, 9]


def test_many_are_taken_in_order_as_far_as_there_is_room_by_bytes():
    queue: LineQueue[int] = LineQueue(limit=100, limit_bytes=10)
    assert queue.put_all([1, 2, 3], [6, 6, 6]) == 2  # the second one found room
    assert queue.put_all([3], [6]) == 0
    assert queue.bytes == 12
    assert queue.take(1, 0, 0) == [1]
    assert queue.put_all([3, 4], [6, 6]) == 1


def test_a_closed_queue_takes_none_of_many():
    queue: LineQueue[int] = LineQueue()
    queue.close()
    assert queue.put_all([1, 2], [1, 1]) == 0


def test_many_at_once_wake_whoever_waits_for_so_many():
    queue: LineQueue[int] = LineQueue()
    later = threading.Timer(0.05, queue.put_all, ([1, 2, 3], [1, 1, 1]))
    later.start()
    assert queue.take(3, 60, 60) == [1, 2, 3]
    later.join()
