"""What a caller of the real engine sees when it dies, is stopped or restarts."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import modelplug as mp
from modelplug.errors import EngineDied

ENDLESS: dict[str, Any] = {
    "temperature": 0,
    "extra_body": {"ignore_eos": True},
    "max_tokens": 10**6,
}


@pytest.fixture
def llm() -> Iterator[Any]:
    """tiny with a context that an endless answer does not fill at once."""
    model = mp.TrainableModule("tiny").deploy_method("llama_cpp", context=8192, idle_timeout=3600)
    yield model.start()
    model.stop()


def test_a_stream_whose_engine_is_killed_ends_with_an_error_that_can_be_tried_again(
    llm: Any,
) -> None:
    url, stream = llm.url, llm.stream("Tell me a story.", **ENDLESS)
    next(stream)

    os.kill(llm._local.engine.pid, signal.SIGKILL)
    with pytest.raises(EngineDied) as caught:
        list(stream)

    assert caught.value.retryable
    assert str(llm.log_path) == caught.value.log_path
    assert str(caught.value).startswith("the engine of 'tiny' ended during the call and is re")
    assert "The capital of France is Paris." == llm("What is the capital of France?", temperature=0)
    assert (url, "ready") == (llm.url, llm.status)


def test_an_awaited_stream_hears_of_it_too(llm: Any) -> None:
    async def read() -> None:
        stream = llm.astream("Tell me a story.", **ENDLESS)
        await anext(stream)
        os.kill(llm._local.engine.pid, signal.SIGKILL)
        async for _ in stream:
            pass

    with pytest.raises(EngineDied):
        asyncio.run(read())


def test_a_call_after_a_crash_waits_for_the_engine(llm: Any) -> None:
    engine = llm._local.engine
    with engine.use() as use:
        os.kill(engine.pid, signal.SIGKILL)
        assert use.ended(within=30)

    assert "The capital of France is Paris." == llm("What is the capital of France?", temperature=0)


def test_calls_in_flight_end_when_the_engine_is_stopped(llm: Any) -> None:
    ended: list[BaseException] = []
    flowing = threading.Barrier(4)

    def read() -> None:
        try:
            for at, _ in enumerate(llm.share().stream("Tell me a story.", **ENDLESS)):
                if at == 3:
                    flowing.wait(30)
        except EngineDied as error:
            ended.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    flowing.wait(30)

    llm.stop()

    for thread in threads:
        thread.join(30)
    assert ["the engine of 'tiny' ended during the call and is stopped"] * 3 == [
        str(error).partition(";")[0] for error in ended
    ]
    assert "stopped" == llm.status


def test_an_engine_that_nobody_calls_is_unloaded_and_comes_back() -> None:
    with mp.TrainableModule("tiny").deploy_method("llama_cpp", idle_timeout=0.2) as llm:
        answer = llm("What is the capital of France?", temperature=0)
        engine, url = llm._local.engine, llm.url
        supervised = engine._entry.engine
        with supervised.changed:
            assert supervised.changed.wait_for(lambda: engine.pid is None, 60)

        assert "unloaded" == llm.status
        assert answer == llm("What is the capital of France?", temperature=0)
        assert ("ready", url) == (llm.status, llm.url)
