"""Errors of the OpenAI wire: class, fields and text, sorted by code and status alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
from core_helpers import CALL, ENDPOINT, KEY, chat_body, finish
from hypothesis import given
from hypothesis import strategies as st

from modelplug import errors
from modelplug.errors import (
    AuthRefused,
    CallError,
    ContextTooLong,
    Filtered,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionRefused,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
    Refused,
    TransportFailed,
)
from modelplug.openai_wire import OpenAIChat
from modelplug.retry import Retry
from modelplug.types import ErrorRule, Secret
from modelplug.wire import Response

CHAT = OpenAIChat(ENDPOINT)


def error(status: int, body: object = None, /, **headers: str) -> CallError:
    """The error that a reply is; *body* is JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CHAT.parse_error(
        Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw)
    )


def openai(code: str | int | None = None, type_: str = "invalid_request_error", **more: Any) -> Any:
    """An error body in OpenAI's form."""
    return {"error": {"message": "m", "type": type_, "param": None, "code": code, **more}}


VLLM: dict[str, Any] = {"code": 400, "type_": "BadRequestError"}
"""Its error of a prompt that is too long, as it was seen from 0.32 (2026-11)."""


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, openai("context_length_exceeded"), ContextTooLong, False),
        (400, openai(None, "exceed_context_size_error"), ContextTooLong, False),
        (400, openai(**VLLM, param="input_tokens"), ContextTooLong, False),
        (400, openai(**VLLM, param="temperature"), InvalidRequest, False),
        (400, openai("content_policy_violation"), Filtered, False),
        (400, openai("moderation_blocked"), Filtered, False),
        (400, openai("content_filter"), Filtered, False),
        (400, openai("invalid_prompt"), Filtered, False),
        (400, openai("unsupported_parameter"), InvalidRequest, False),
        (400, openai(), InvalidRequest, False),
        (401, openai("invalid_api_key"), AuthRefused, False),
        (401, openai(None, "authentication_error"), AuthRefused, False),
        (401, openai(), AuthRefused, False),
        (402, openai(), QuotaExhausted, False),
        (403, openai("unsupported_country_region_territory"), PermissionRefused, False),
        (404, openai("model_not_found"), NotFound, False),
        (404, openai(None, "not_found_error"), NotFound, False),
        (408, openai(), InvalidRequest, True),
        (409, openai(), InvalidRequest, True),
        (425, openai(), InvalidRequest, True),
        (413, openai(), InvalidRequest, False),
        (422, openai(), InvalidRequest, False),
        (429, openai("rate_limit_exceeded", "requests"), RateLimited, True),
        (429, openai("rate_limit_exceeded", "tokens"), RateLimited, True),
        (429, openai(), RateLimited, True),
        (429, openai("insufficient_quota", "insufficient_quota"), QuotaExhausted, False),
        (429, openai("credit_balance_exhausted", "insufficient_quota"), QuotaExhausted, False),
        (429, openai("organization_spend_limit_exceeded"), QuotaExhausted, False),
        (429, openai("project_spend_limit_exceeded"), QuotaExhausted, False),
        (429, openai("organization_usage_limit_exceeded"), QuotaExhausted, False),
        (429, openai(None, "insufficient_quota"), QuotaExhausted, False),
        (429, openai("slow_down"), Overloaded, True),
        (503, openai("server_is_overloaded", "service_unavailable_error"), Overloaded, True),
        (503, openai(None, "unavailable_error"), Overloaded, True),
        (503, openai(), Overloaded, True),
        (529, openai(), Overloaded, True),
        (500, openai("server_error", "server_error"), ProviderFailed, True),
        (500, openai(), ProviderFailed, True),
        (502, openai(), ProviderFailed, True),
        (504, openai(), ProviderFailed, True),
        (501, openai(None, "not_supported_error"), ProviderFailed, False),
        (302, openai(), Refused, False),
        (999, openai(), ProviderFailed, True),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_an_error_is_sorted_by_its_code_then_its_type_then_its_status(
    status: int, body: object, kind: type[CallError], retryable: bool
) -> None:
    raised = error(status, body)

    assert kind is type(raised)
    assert retryable is raised.retryable
    assert status == raised.status
    assert f"acme answered {status}: m" == str(raised)


def test_the_words_of_a_message_sort_nothing() -> None:
    body = {"error": {"message": "maximum context length exceeded, insufficient quota", "code": 1}}

    assert InvalidRequest is type(error(400, body))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": "Unauthorized"}, "acme answered 401: Unauthorized"),
        ({"error": {"message": "m", "code": 401}}, "acme answered 401: m"),
        ({"detail": "Model not found"}, "acme answered 401: Model not found"),
        ({"message": "m", "code": 413, "type": "Validation"}, "acme answered 401: m"),
        ({"object": "error", "message": "m", "code": 401}, "acme answered 401: m"),
        ({"error": None, "message": "m"}, "acme answered 401: m"),
        ({"error": "m", "error_type": "Overloaded"}, "acme answered 401: m"),
        ({"error": {"message": {"a": 1}}}, 'acme answered 401: {"a":1}'),
        ({"error": {}}, "acme answered 401"),
        ({}, "acme answered 401"),
        ([1], "acme answered 401: [1]"),
        (b"", "acme answered 401"),
        (b"  go away\n", "acme answered 401: go away"),
        (b"\xff", "acme answered 401: \ufffd"),
    ],
    ids=(
        "d23 text,d24 number,d24 detail,tei,old vllm,null,tei native,object,empty,nothing,list,"
        "no body,plain,bytes"
    ).split(","),
)
def test_d23_d24_the_message_is_found_in_each_form(body: object, told: str) -> None:
    raised = error(401, body)

    assert told == str(raised)
    assert AuthRefused is type(raised)


def test_tv9_the_detail_of_fastapi_is_told() -> None:
    detail = [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]

    raised = error(422, {"detail": detail})

    assert InvalidRequest is type(raised)
    assert '"model"' in str(raised)
    assert "Field required" in str(raised)


def test_tv15_an_html_page_keeps_its_status_and_is_cut() -> None:
    raised = error(502, b"<html>" + b"x" * 5000)

    assert ProviderFailed is type(raised)
    assert "acme answered 502: <html>" + "x" * 494 == str(raised)
    assert raised.__cause__ is None


def test_tv6_the_key_is_not_in_the_message() -> None:
    body = openai("invalid_api_key", message=f"Incorrect API key provided: {KEY}.")

    raised = error(401, body)

    assert "acme answered 401: Incorrect API key provided: ***." == str(raised)
    assert KEY not in repr(vars(raised))


def test_the_key_is_not_in_the_text_of_a_page() -> None:
    assert "acme answered 502: <p>***</p>" == str(error(502, f"<p>{KEY}</p>".encode()))


def test_the_key_is_not_in_the_code() -> None:
    raised = error(401, {"error": {"message": "m", "code": KEY}})

    assert KEY not in repr(vars(raised))


def test_an_error_for_an_endpoint_without_a_key_is_told() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, api_key=None))

    assert "acme answered 500: m" == str(codec.parse_error(Response(500, {}, b'{"error":"m"}')))


def test_an_empty_key_masks_nothing() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, api_key=Secret("")))

    assert "acme answered 500: m" == str(codec.parse_error(Response(500, {}, b'{"error":"m"}')))


@pytest.mark.parametrize("name", ["x-request-id", "request-id", "x-ds-request-id", "x-tt-logid"])
def test_the_request_id_is_kept(name: str) -> None:
    assert "r-1" == error(500, {}, **{name: "r-1"}).request_id


def test_the_fields_tell_provider_code_and_wait() -> None:
    raised = error(429, openai("rate_limit_exceeded", "requests"), retry_after="7")

    assert ("acme", "rate_limit_exceeded", 7.0, None, "") == (
        raised.provider,
        raised.code,
        raised.retry_after,
        raised.request_id,
        raised.partial,
    )


def test_the_type_stands_in_for_a_code_that_is_absent() -> None:
    assert "server_error" == error(500, openai(None, "server_error")).code


def test_a_providers_own_codes_come_first() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, codes={"1301": Filtered}))
    body = b'{"error":{"message":"m","code":1301}}'

    assert Filtered is type(codec.parse_error(Response(400, {}, body)))


def test_a_class_by_code_keeps_its_own_word_on_retries() -> None:
    assert not error(409, openai("content_filter")).retryable


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 409, 425, 429])
def test_a_passing_fault_is_tried_again_with_the_same_request(status: int) -> None:
    completion, requests = finish(
        CHAT.flow(CALL), Response(status, body=b"{}"), Response(200, body=chat_body())
    )

    assert "4" == completion.text
    assert requests[0] == requests[1]


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, openai()), (401, openai()), (403, openai()), (404, openai()), (422, openai()),
     (501, openai()), (429, openai("insufficient_quota")), (302, openai())],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)  # fmt: skip
def test_tv8_a_lasting_fault_is_raised_after_one_request(status: int, body: object) -> None:
    flow = CHAT.flow(CALL)
    next(flow)

    with pytest.raises(Refused):
        flow.send(Response(status, body=json.dumps(body).encode()))


def test_tv7_the_wait_that_the_server_asks_for_is_kept() -> None:
    flow = CHAT.flow(CALL)
    next(flow)

    again = flow.send(
        Response(429, {"retry-after-ms": "20"}, json.dumps(openai("rate_limit_exceeded")).encode())
    )

    assert 0.02 == again.delay  # type: ignore[union-attr]
    flow.close()


def test_a_broken_connection_is_tried_again() -> None:
    completion, requests = finish(
        CHAT.flow(CALL), TransportFailed("cut"), Response(200, body=chat_body())
    )

    assert "4" == completion.text
    assert 2 == len(requests)


def test_the_last_error_is_raised_when_the_tries_are_used_up() -> None:
    codec = OpenAIChat(evolve(ENDPOINT, retry=Retry(attempts=2, base=0)))

    with pytest.raises(Overloaded) as caught:
        finish(codec.flow(CALL), Response(500, body=b"{}"), Response(503, body=b"{}"))

    assert 503 == caught.value.status


def test_a_broken_connection_knows_its_provider() -> None:
    flow = OpenAIChat(evolve(ENDPOINT, retry=Retry(attempts=1))).flow(CALL)
    next(flow)

    with pytest.raises(TransportFailed) as caught:
        flow.throw(TransportFailed("cut"))

    assert "acme" == caught.value.provider


def test_an_error_that_is_not_of_the_call_passes_through() -> None:
    flow = CHAT.flow(CALL)
    next(flow)

    with pytest.raises(KeyboardInterrupt):
        flow.throw(KeyboardInterrupt())


def test_every_error_is_drawn_in_the_tree_of_the_module() -> None:
    assert errors.__doc__ is not None
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert name in errors.__doc__
            assert value.__doc__
            assert issubclass(value, errors.ModelplugError)


@pytest.mark.parametrize(
    ("ours", "pythons"),
    [
        ("UnknownOption", TypeError),
        ("PluginNotFound", AttributeError),
        ("Unsupported", NotImplementedError),
        ("FormatError", ValueError),
        ("TimedOut", TimeoutError),
    ],
)
def test_some_errors_are_pythons_own_as_well(ours: str, pythons: type[Exception]) -> None:
    assert issubclass(getattr(errors, ours), pythons)


def test_only_a_timeout_of_the_total_is_final() -> None:
    assert [True, True, True, False] == [
        errors.TimedOut("x", limit=limit).retryable
        for limit in ("connect", "first_byte", "idle", "total")
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("kimmi", "; did you mean 'kimi'?"),
        ("KIMI", "; did you mean 'kimi'?"),
        ("glm-4", "; did you mean 'glm-4b' or 'glm-4a'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_near_matches_are_named(name: str, told: str) -> None:
    assert told == errors.did_you_mean(name, {"kimi", "glm-4b", "glm-4a", "qwen"})


bodies: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("error message code type detail".split()), inner)
    ),
    max_leaves=8,
)


@given(st.integers(300, 599), st.one_of(bodies.map(lambda b: json.dumps(b).encode()), st.binary()))
def test_any_reply_that_is_no_success_is_a_refusal(status: int, body: bytes) -> None:
    raised = CHAT.parse_error(Response(status, {}, body))

    assert isinstance(raised, Refused)
    assert str(raised).startswith(f"acme answered {status}")
    assert raised.code is None or isinstance(raised.code, str)


@given(
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "x-request-id"]), st.text())
)
def test_any_headers_are_survived(headers: Mapping[str, str]) -> None:
    assert isinstance(CHAT.parse_error(Response(429, headers, b"{}")), RateLimited)


# What a manifest says of errors beyond their codes.


def told_by(*rules: ErrorRule, status: int = 400, **body: Any) -> CallError:
    """The error that a server with *rules* gives."""
    codec = OpenAIChat(evolve(ENDPOINT, error_rules=rules))
    return codec.parse_error(Response(status, body=json.dumps({"error": body}).encode()))


LONG = ErrorRule(400, ("bad*",), "too (?P<code>long)", "ContextTooLong")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"code": "bad_value", "message": "It is TOO long."}, ContextTooLong),
        (400, {"type": "bad_value", "message": "too long"}, ContextTooLong),
        (422, {"code": "bad_value", "message": "too long"}, InvalidRequest),
        (400, {"code": "worse", "message": "too long"}, InvalidRequest),
        (400, {"message": "too long"}, InvalidRequest),
        (400, {"code": "bad_value", "message": "too short"}, InvalidRequest),
    ],
)
def test_a_rule_is_about_the_errors_that_have_all_it_names(
    status: int, body: dict[str, str], kind: type[CallError]
) -> None:
    assert kind is type(told_by(LONG, status=status, **body))


@pytest.mark.parametrize(
    ("body", "code"), [({"code": "bad"}, "bad"), ({"type": "bad"}, "long")], ids=["code", "type"]
)
def test_what_a_rule_takes_for_a_code_gives_way_to_one_that_was_sent(
    body: dict[str, str], code: str
) -> None:
    assert code == told_by(LONG, message="too long", **body).code


def test_of_several_rules_each_applies_and_the_last_class_holds() -> None:
    used_up = ErrorRule(codes=("quota",), means="QuotaExhausted", mend="pay")
    queue = ErrorRule(codes=("quota",), match="queue", means="RateLimited", mend="wait")

    error = told_by(used_up, queue, status=429, code="quota", message="The queue is full")

    assert type(error) is RateLimited
    assert "acme answered 429: The queue is full; pay; wait" == str(error)


def test_the_same_mend_is_told_once() -> None:
    rules = [ErrorRule(status=400, mend="pay"), ErrorRule(codes=("c",), mend="pay")]

    assert "acme answered 400: m; pay" == str(told_by(*rules, code="c", message="m"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("try again after 7 seconds", 7.0), ("try again after a while", None)]
)
def test_a_rule_finds_the_wait_that_stands_in_a_text(text: str, seconds: float | None) -> None:
    rule = ErrorRule(match=r"after (?P<seconds>[\w.]+)")

    assert seconds == told_by(rule, status=429, message=text).retry_after


def test_a_key_in_the_text_that_a_rule_takes_for_a_code_is_masked() -> None:
    rule = ErrorRule(match=r"key (?P<code>\S+)")

    error = told_by(rule, status=401, message=f"no such key {KEY}")

    assert "***" == error.code
    assert KEY not in str(error)


def test_a_text_alone_is_the_message_of_an_error() -> None:
    assert "acme answered 401: no key" == str(error(401, "no key"))


def test_a_reason_beside_a_code_that_repeats_the_status_is_the_code() -> None:
    told = {"code": 400, "reason": "context_length_exceeded", "message": "m"}

    assert ContextTooLong is type(error(400, told))
