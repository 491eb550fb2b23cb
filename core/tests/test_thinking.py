"""Reasoning between think tags: the same whichever way the answer is cut."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from core_helpers import CALL, ENDPOINT, chat_stream, finish, stream_of
from hypothesis import given
from hypothesis import strategies as st

from modelplug.openai_wire import OpenAIChat
from modelplug.openai_wire.thinking import ThinkSplitter, split
from modelplug.types import Completion, Quirks, Text
from modelplug.wire import Response

TAGGED = OpenAIChat(evolve(ENDPOINT, quirks=Quirks(think_tags=True)))


def pieces(texts: list[str], *, opened: bool = False) -> tuple[str, str]:
    splitter = ThinkSplitter(opened=opened)
    parts = [*map(splitter.feed, texts), splitter.finish()]
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>a</think>b", "a", "b"),
        ("<think>\na\n</think>\n\nb", "a", "b"),
        (" \n<think>a</think>b", "a", "b"),
        ("<think></think>b", "", "b"),
        ("<think>a", "a", ""),
        ("<think>a</thin", "a</thin", ""),
        ("b", "", "b"),
        ("  b", "", "  b"),
        ("<thin", "", "<thin"),
        ("<thing>b", "", "<thing>b"),
        ("1 < 2 and <think>x</think>", "", "1 < 2 and <think>x</think>"),
        ("<think>a < b</think>c</think>", "a < b", "c</think>"),
        ("", "", ""),
        ("\n", "", "\n"),
    ],
)
def test_tv11_reasoning_stands_between_tags_at_the_beginning(
    text: str, reasoning: str, answer: str
) -> None:
    assert (reasoning, answer) == split(text)
    assert (reasoning, answer) == pieces(list(text))


def test_tv11_a_template_may_have_opened_the_tag() -> None:
    assert ("a", "b") == pieces(["a</th", "ink>b"], opened=True)


def test_tv11_text_without_tags_is_not_held_back() -> None:
    splitter = ThinkSplitter()

    assert [("", "1 "), ("", "<"), ("", " 2")] == [splitter.feed(x) for x in ("1 ", "<", " 2")]


bits = st.lists(st.sampled_from(["<", "th", "ink>", "</", "\n", " ", "a", "你"]), max_size=6)
tagged = st.tuples(
    bits, st.sampled_from(["<think>", ""]), bits, st.sampled_from(["</think>", ""]), bits
).map(lambda parts: [*parts[0], parts[1], *parts[2], parts[3], *parts[4]])


@given(tagged, st.booleans())
def test_any_cut_gives_the_same(parts: list[str], opened: bool) -> None:
    whole = "".join(parts)

    assert pieces([whole], opened=opened) == pieces(parts, opened=opened)
    assert pieces([whole], opened=opened) == pieces(list(whole), opened=opened)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stream_and_a_whole_reply_are_split_where_the_server_writes_tags(size: int) -> None:
    text = "<think>\nhm\n</think>\n\n4"
    body = chat_stream(*(text[at : at + size] for at in range(0, len(text), size)))
    reply = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}

    streamed = Completion.of(stream_of(TAGGED, CALL, body))
    whole, _ = finish(TAGGED.flow(CALL), Response(200, body=json.dumps(reply).encode()))

    assert ("hm", "4") == (streamed.reasoning, streamed.text) == (whole.reasoning, whole.text)


def test_what_is_held_back_comes_before_the_end() -> None:
    assert [Text("<thi")] == stream_of(TAGGED, CALL, chat_stream("<thi"))[:1]


def test_another_server_s_tags_are_text() -> None:
    plain = OpenAIChat(ENDPOINT)

    assert (
        "<think>a</think>b"
        == Completion.of(stream_of(plain, CALL, chat_stream("<think>a</think>b"))).text
    )
