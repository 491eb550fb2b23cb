"""Batches across callers, without a model."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from modelplug_sentence_transformers.runner.embed_server.batching import Batcher, Busy, Input


class Slow:
    """Computes when it is let to, and remembers what came together."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.came = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, common: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        self.batches.append([common, *inputs])
        self.came.release()
        self.go.acquire()
        for each in inputs:
            if isinstance(each, Exception):
                raise each
        return [f"{common}{each}" for each in inputs]

    def finish(self, batches: int) -> None:
        """Let so many go."""
        for _ in range(batches):
            self.go.release()


@pytest.fixture
def slow() -> Iterator[Slow]:
    compute = Slow()
    yield compute
    compute.finish(1000)


def inputs(*lengths: int) -> list[Input]:
    return [Input(length, length) for length in lengths]


def held(
    slow: Slow, *, size: int = 4, tokens: int = 1000, waiting: int = 100, pads: bool = True
) -> Batcher:
    """A batcher that computes a first input already, so that all later ones wait."""
    batcher = Batcher(slow, size=size, tokens=tokens, waiting=waiting, pads=pads)
    batcher.submit("first", inputs(0))
    slow.came.acquire()
    return batcher


def test_results_come_in_the_order_of_the_inputs(slow: Slow) -> None:
    batcher = Batcher(slow, size=2, tokens=1000, waiting=100)
    slow.finish(10)

    job = batcher.submit("x", inputs(5, 30, 1, 200))

    assert ["x5", "x30", "x1", "x200"] == job.results.result(30)


def test_inputs_of_like_length_are_computed_together(slow: Slow) -> None:
    batcher = held(slow)
    slow.finish(10)

    jobs = [batcher.submit("x", inputs(length)) for length in (9, 200, 8, 210, 7, 205, 10, 190)]
    for job in jobs:
        job.results.result(30)

    together = sorted(sorted(batch[1:]) for batch in slow.batches[1:])
    assert [[7, 8, 9, 10], [190, 200, 205, 210]] == together


def test_a_batch_has_no_more_padded_tokens_than_it_may(slow: Slow) -> None:
    batcher = held(slow, tokens=400)
    slow.finish(10)

    batcher.submit("x", inputs(100, 100, 100, 100, 300, 900)).results.result(30)

    assert [[900], [300], [100, 100, 100, 100]] == [batch[1:] for batch in slow.batches[1:]]


def test_a_long_text_is_not_what_short_ones_are_padded_to(slow: Slow) -> None:
    batcher = held(slow)
    slow.finish(10)

    batcher.submit("x", inputs(200, 10, 12, 11)).results.result(30)

    assert [[10, 11, 12], [200]] == sorted(sorted(batch[1:]) for batch in slow.batches[1:])


def test_without_padding_inputs_come_together_in_turn_up_to_the_tokens(slow: Slow) -> None:
    batcher = held(slow, tokens=220, pads=False)
    slow.finish(10)

    jobs = [batcher.submit("x", inputs(length)) for length in (10, 200, 12, 11, 300)]
    for job in jobs:
        job.results.result(30)

    assert [[10, 200], [12, 11], [300]] == [batch[1:] for batch in slow.batches[1:]]


def test_only_what_has_the_same_prompt_is_computed_together(slow: Slow) -> None:
    batcher = held(slow)
    slow.finish(10)

    jobs = [batcher.submit(common, inputs(5, 6)) for common in ("a", "b")]

    assert [["a5", "a6"], ["b5", "b6"]] == [job.results.result(30) for job in jobs]
    assert all(len({batch[0]}) == 1 for batch in slow.batches)
    assert ["a", "b"] == [batch[0] for batch in slow.batches[1:]]


def test_a_small_request_does_not_wait_for_the_whole_of_a_large_one(slow: Slow) -> None:
    batcher = held(slow, size=1)
    large = batcher.submit("large", inputs(*[10] * 50))
    small = batcher.submit("small", inputs(10))

    slow.finish(4)

    assert ["small10"] == small.results.result(30)
    assert not large.results.done()


def test_an_input_that_fails_is_the_failure_of_its_own_request(slow: Slow) -> None:
    batcher = held(slow)
    slow.finish(100)
    error = ValueError("half an image")

    bad = batcher.submit("x", [Input(error, 5), Input("b", 5)])
    good = batcher.submit("x", [Input("c", 5)])

    assert error is bad.results.exception(30)
    assert ["xc"] == good.results.result(30)


def test_what_nobody_waits_for_any_more_is_not_computed(slow: Slow) -> None:
    batcher = held(slow)
    dropped = batcher.submit("dropped", inputs(1, 2, 3))
    kept = batcher.submit("kept", inputs(4))

    dropped.dropped = True
    slow.finish(10)

    assert ["kept4"] == kept.results.result(30)
    assert ["first", "kept"] == [batch[0] for batch in slow.batches]


def test_a_full_queue_tells_when_there_will_be_room(slow: Slow) -> None:
    batcher = held(slow, waiting=3)
    batcher.submit("x", inputs(5, 5, 5))

    with pytest.raises(Busy) as caught:
        batcher.submit("x", inputs(5))

    assert caught.value.retry_after > 0


def test_the_time_to_wait_is_told_by_what_the_last_batches_took(slow: Slow) -> None:
    batcher = held(slow, waiting=3)
    other = batcher.submit("x", inputs(10))
    slow.finish(1)
    slow.came.acquire()  # the second batch is computed: the first one's pace is known
    batcher.submit("x", inputs(500, 500, 500))

    with pytest.raises(Busy) as some:
        batcher.submit("x", inputs(5))
    with pytest.raises(Busy) as all_of_it:
        batcher.submit("x", inputs(5, 5, 5))

    assert some.value.retry_after <= all_of_it.value.retry_after
    assert not other.results.done()


def test_a_request_larger_than_the_queue_is_taken_when_nobody_waits(slow: Slow) -> None:
    batcher = held(slow, waiting=3)
    slow.finish(100)

    large = batcher.submit("x", inputs(*range(1, 10)))

    assert 9 == len(large.results.result(30))
