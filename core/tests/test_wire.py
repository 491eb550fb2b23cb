"""Flows: jobs that are polled, keys and addresses that stand in for each other."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from core_helpers import AT_ONCE, CALL, ENDPOINT, chat_body, finish

from modelplug.errors import (
    AuthRefused,
    CallError,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    TransportFailed,
    Unsupported,
)
from modelplug.openai_wire import OpenAIChat, OpenAIEmbed
from modelplug.rotation import Rotation
from modelplug.types import EmbedCall, Secret
from modelplug.wire import Codec, Flow, Request, Response

CHAT = OpenAIChat(ENDPOINT)
ASK = Request("GET", "http://h/jobs/7")
OK = Response(200, body=chat_body())


def job(codec: Codec[Any, Any] = CHAT) -> Flow[bytes]:
    """A job that is done once its reply says something."""
    return codec.poll(ASK, lambda response: response.body or None, task="job-7")


def test_a_job_is_asked_for_a_little_later_each_time_until_it_is_done() -> None:
    pending = Response(200)

    result, requests = finish(job(), *[pending] * 7, Response(200, body=b"done"))

    assert b"done" == result
    assert [1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10.0, 10.0] == [r.delay for r in requests]
    assert ["acme: job job-7, asked 0 times", "acme: job job-7, asked 1 times"] == [
        request.waiting_for for request in requests[:2]
    ]


def test_a_job_survives_a_passing_fault() -> None:
    result, requests = finish(job(), Response(503, body=b"{}"), Response(200, body=b"done"))

    assert (b"done", 2) == (result, len(requests))


def test_an_error_of_a_job_carries_its_id() -> None:
    with pytest.raises(AuthRefused) as caught:
        finish(job(), Response(200), Response(401, body=b"{}"))

    assert "job-7" == caught.value.task


def test_an_interrupt_of_a_job_tells_how_to_go_on() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        finish(job(), Response(200), KeyboardInterrupt())

    assert ["the job goes on at acme; pass resume='job-7'"] == caught.value.__notes__


def test_a_job_may_be_left() -> None:
    flow = job()
    next(flow)

    flow.close()


# Keys and addresses.

TWO_KEYS = OpenAIChat(evolve(ENDPOINT, api_key=[Secret("1"), Secret("2")]))
SLOW = Response(429, {"retry-after": "30"}, b'{"error":{"message":"m"}}')
SPENT = Response(429, {}, b'{"error":{"message":"m","code":"insufficient_quota"}}')


def keyed(count: int) -> OpenAIChat:
    keys = [Secret(str(at)) for at in range(1, count + 1)]
    return OpenAIChat(evolve(ENDPOINT, api_key=keys, retry=AT_ONCE))


def again(flow: Any, reply: Response, times: int) -> None:
    """Answer every request of *flow* with *reply*."""
    for _ in range(times):
        flow.send(reply)


def used(requests: list[Request]) -> list[str]:
    return [request.auth.reveal() for request in requests if request.auth is not None]


def test_the_next_key_is_used_at_once_where_one_is_limited() -> None:
    codec = keyed(3)

    _, first = finish(codec.flow(CALL), SLOW, SPENT, OK)
    _, second = finish(codec.flow(CALL), OK)

    assert (["1", "2", "3"], ["3"]) == (used(first), used(second))
    assert [0.0] * 3 == [request.delay for request in first]


def test_when_every_key_is_limited_the_error_is_raised() -> None:
    flow = keyed(2).flow(CALL)

    with pytest.raises(QuotaExhausted):
        finish(flow, SPENT, SPENT)


@pytest.mark.parametrize("wait", ["0", "0.001"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_keys_that_are_free_again_at_once_are_not_asked_without_end(wait: str, count: int) -> None:
    flow: Any = keyed(count).flow(CALL)
    reply = Response(429, {"retry-after": wait}, b"{}")
    next(flow)

    with pytest.raises(RateLimited):
        again(flow, reply, 50)


def test_another_error_stays_with_its_key() -> None:
    flow = keyed(2).flow(CALL)

    with pytest.raises(AuthRefused):
        finish(flow, Response(401, body=b"{}"))


def test_the_next_address_is_used_where_one_fails() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, url=["http://a/v1", "http://b/v1"]))

    _, first = finish(codec.flow(CALL), TransportFailed("gone"), OK)
    _, second = finish(codec.flow(CALL), OK)

    assert ["http://a/v1/chat/completions", "http://b/v1/chat/completions"] == [
        request.url for request in first
    ]
    assert "http://b/v1/chat/completions" == second[0].url


def test_when_every_address_fails_the_error_is_raised() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, url=["http://a/v1", "http://b/v1"]))
    flow: Any = codec.flow(CALL)
    next(flow)

    with pytest.raises(Overloaded):
        again(flow, Response(503, {"retry-after": "0"}, b"{}"), 50)


def test_the_item_in_use_stays_until_it_fails() -> None:
    clock = [0.0]
    rotation = Rotation(["a", "b", "c"], now=lambda: clock[0])

    assert "a" == rotation.current
    assert ("b", "b") == (rotation.move_on("a"), rotation.current)
    assert "c" == rotation.move_on("b", 10)
    assert rotation.move_on("c", 10) is None
    clock[0] = 10.0
    assert "b" == rotation.move_on("c", 10)
    assert "b" == rotation.move_on("a")
    assert 3 == len(rotation)


def test_an_item_that_is_none_of_them_changes_nothing() -> None:
    rotation = Rotation(["a", "b"])

    assert ("a", "a") == (rotation.move_on("x"), rotation.current)


# Codecs.


def test_a_codec_without_a_decoder_does_not_stream() -> None:
    with pytest.raises(Unsupported) as caught:
        OpenAIEmbed(ENDPOINT).decoder(EmbedCall("m", ["a"]))

    assert "acme does not stream 'acme-1'" == str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda codec: codec.build_request(CALL),
        lambda codec: codec.parse_response(CALL, OK),
        lambda codec: codec.error_details(OK),
    ],
)
def test_a_codec_says_what_its_author_left_out(call: Any) -> None:
    with pytest.raises(NotImplementedError):
        call(Codec(ENDPOINT))


def test_a_reply_is_parsed_by_a_class() -> None:
    from attrs import make_class

    assert 1 == Response(200, body=b'{"x":1}').parse(make_class("Made", ["x"])).x


def test_a_request_is_signed_before_each_try() -> None:
    signed: list[str] = []

    class Signing(OpenAIChat):
        def sign(self, request: Request) -> Request:
            signed.append(request.url)
            return evolve(request, headers={**request.headers, "x-try": str(len(signed))})

    _, requests = finish(Signing(ENDPOINT).flow(CALL), Response(503, body=b"{}"), OK)

    assert ["1", "2"] == [request.headers["x-try"] for request in requests]


def test_an_error_is_not_retried_before_its_fields_are_set() -> None:
    error = CallError("x", retryable=True)
    _, requests = finish(CHAT.flow(CALL), error, OK)

    assert ("acme", 2) == (error.provider, len(requests))
