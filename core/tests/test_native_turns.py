"""A turn in a wire's own form goes with the message and stays off the wires of others."""

from __future__ import annotations

from modelplug.openai_wire import OpenAIChat
from modelplug.types import ChatCall, Completion, Endpoint, Finish, Text

NATIVE = {"acme": [{"thought": "t", "signature": "s"}]}


def test_a_turn_in_a_wires_own_form_goes_with_the_message() -> None:
    done = Completion.of([Text("4"), Finish("stop", native=NATIVE)])

    assert {"role": "assistant", "content": "4", "native": NATIVE} == done.message


def test_a_message_without_one_has_no_such_field() -> None:
    assert {"role": "assistant", "content": "4"} == Completion.of([Text("4")]).message


def test_the_openai_wire_sends_no_other_wires_turn() -> None:
    codec = OpenAIChat(Endpoint("acme", "m", "http://h/v1"))
    turn = Completion("4", native=NATIVE).message

    assert [{"role": "assistant", "content": "4"}] == codec.payload(ChatCall("m", [turn]))[
        "messages"
    ]
