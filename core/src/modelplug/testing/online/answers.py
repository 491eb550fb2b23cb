"""Each recorded answer comes out as its table says, sync and async; nonsense does not."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Mapping
from typing import Any

import pytest

import modelplug
from modelplug import errors
from modelplug.errors import BadReply, CallError
from modelplug.testing.fault_server import FaultServer, Reply, Request
from modelplug.testing.online.base import (
    CALLS,
    Face,
    Make,
    OnlineBase,
    either_call,
    events_of,
    events_of_async,
    for_type,
    raised_by,
    respond,
    respond_async,
)
from modelplug.testing.replies import Expected, Recorded

NONSENSE = {
    "nothing": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "no choices": b'{"choices": []}',
    "a page": b"<html>hello</html>",
    "half an object": b'{"choices": [{"index": 0, "mess',
    "a null": b"null",
}
PLAIN_FIELDS = ("text", "reasoning", "finish_reason", "model", "id")


def rounded(value: Any) -> Any:
    """*value* with lists for tuples and floats to 6 places, as float32 on the wire needs."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def wanted(expected: Expected) -> dict[str, Any]:
    """The fields of a rich result that *expected* names."""
    fields: dict[str, Any] = {
        name: getattr(expected, name)
        for name in PLAIN_FIELDS
        if getattr(expected, name) is not None
    }
    if expected.tool_calls is not None:
        fields["tool_calls"] = list(expected.tool_calls)
    if expected.usage is not None:
        fields["usage"] = dict(expected.usage)
    if expected.value is not None:
        fields["value"] = rounded(expected.value)
    if expected.media is not None:
        fields["media"] = list(expected.media)
    return fields


def given(result: Any, expected: Expected) -> dict[str, Any]:
    """The same fields as *result* has them."""
    fields: dict[str, Any] = {}
    for name in wanted(expected):
        if name == "tool_calls":
            fields[name] = [_call(call) for call in result.tool_calls]
        elif name == "usage":
            fields[name] = {key: getattr(result.usage, key) for key in expected.usage or ()}
        elif name == "media":
            fields[name] = [{"mime": made.mime, "size": len(made.data)} for made in result.media]
        else:
            fields[name] = rounded(getattr(result, name))
    return fields


def given_by(events: list[Any], expected: Expected) -> dict[str, Any]:
    """The same fields as the events of a stream add up to."""
    fields: dict[str, Any] = {}
    finish = events[-1]
    for name in wanted(expected):
        if name in ("text", "reasoning"):
            fields[name] = "".join(event.text for event in events if event.kind == name)
        elif name == "tool_calls":
            fields[name] = [_call(event) for event in events if event.kind == "tool_call"]
        elif name == "usage":
            usage = [event for event in events if event.kind == "usage"][-1]
            fields[name] = {key: getattr(usage, key) for key in expected.usage or ()}
        else:
            fields[name] = getattr(finish, "reason" if name == "finish_reason" else name)
    return fields


def _call(call: Any) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "arguments": dict(call.arguments)}


def options_for(recorded: Recorded) -> dict[str, Any]:
    """How the model is called: with its files, and the tools that the reply calls."""
    expected = recorded.expected
    options = dict(expected.options)
    if recorded.files:
        options["files"] = recorded.files
    if expected.tool_calls:
        options["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": call["name"],
                    "description": f"the {call['name']} of a place",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
            for call in expected.tool_calls
        ]
    return options


def part_of(whole: Any, part: Any) -> Any:
    """What *whole* has in the places that *part* names; a mapping is looked into."""
    if not isinstance(part, Mapping) or not isinstance(whole, Mapping):
        return whole
    return {key: part_of(whole.get(key), value) for key, value in part.items()}


class AnswerTests(OnlineBase):
    """What comes back, comes out."""

    @pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
    def test_a_recorded_answer_comes_out_as_expected(
        self, answer: Recorded, asynchronous: bool, server: FaultServer, make: Make
    ) -> None:
        expected = answer.expected
        if expected.type not in self.provider.types:
            self.check_unsupported(expected.type)
            return
        model = make(expected.type)
        needed = {"stream"} if answer.streams or expected.error else set()
        needed |= {"tools"} if expected.tool_calls else set()
        if lacking := needed.difference(self.does(expected.type)):
            self.check_incapable(model, lacking)
            return
        self.serve(server, answer)
        if expected.error is not None:
            self._fails_as_expected(model, answer, asynchronous)
            return

        if answer.streams:
            read_events = events_of_async if asynchronous else events_of
            events = read_events(model, expected.input, **options_for(answer))
            assert wanted(expected) == given_by(events, expected)
        else:
            read = respond_async if asynchronous else respond
            result = read(model, expected.input, **options_for(answer))
            assert wanted(expected) == given(result, expected)
        self._check_request(server.requests[0], answer)

    def _fails_as_expected(self, model: Any, answer: Recorded, asynchronous: bool) -> None:
        expected = answer.expected
        assert expected.error is not None
        delivered: list[str] = []

        def run() -> None:
            for text in model.stream(expected.input):
                delivered.append(text)

        async def run_async() -> None:
            async for text in model.astream(expected.input):
                delivered.append(text)

        with pytest.raises(CallError) as caught:
            asyncio.run(run_async()) if asynchronous else run()

        assert getattr(errors, expected.error) is type(caught.value)
        assert expected.partial == caught.value.partial
        assert expected.says in str(caught.value)
        assert expected.partial == "".join(delivered)

    def _check_request(self, request: Request, answer: Recorded) -> None:
        expected = answer.expected
        assert request.path.endswith(expected.path)
        sends = {**expected.sends, **(expected.sends_streaming if answer.streams else {})}
        if sends:
            body = request.json
            assert sends == (body if expected.exactly else part_of(body, sends))
        if expected.parts:
            parts = request.parts
            assert dict(expected.parts) == {name: parts.get(name) for name in expected.parts}

    @for_type("llm")
    @either_call
    def test_a_plain_call_answers_the_text(
        self, call: Face, server: FaultServer, make: Make
    ) -> None:
        chat = self.recorded()["chat.json"]
        self.serve(server, chat)

        assert chat.expected.text == call(make(), chat.expected.input)

    @pytest.mark.parametrize("type", ["embed", "rerank"])
    @either_call
    def test_a_plain_call_answers_the_value(
        self, type: str, call: Face, server: FaultServer, make: Make
    ) -> None:
        if type not in self.provider.types:
            self.check_unsupported(type)
            return
        recorded = self.recorded()[f"{type}.json"]
        self.serve(server, recorded)

        value = call(make(type), recorded.expected.input, **recorded.expected.options)

        assert rounded(recorded.expected.value) == rounded(value)

    @pytest.mark.parametrize("type", CALLS)
    @either_call
    def test_a_reply_that_holds_no_answer_is_a_bad_reply(
        self, type: str, call: Face, server: FaultServer, make: Make
    ) -> None:
        if type not in self.provider.types:
            self.check_unsupported(type)
            return
        to_call, options = CALLS[type]
        model = make(type)
        errors = {}
        for name, body in NONSENSE.items():
            server.answer(Reply(200, {"content-type": "application/json"}, body))
            error = raised_by(call, model, to_call, **options)
            told = (getattr(error, "provider", None), getattr(error, "status", None))
            errors[name] = (builtins.type(error), *told)

        assert dict.fromkeys(NONSENSE, (BadReply, self.plugin, 200)) == errors

    @for_type("llm")
    def test_one_model_serves_two_event_loops_in_a_row(
        self, server: FaultServer, make: Make
    ) -> None:
        chat = self.recorded()["chat.json"]
        self.serve(server, chat)
        model = make()

        texts = [asyncio.run(model.acall(chat.expected.input)) for _ in range(2)]

        assert [chat.expected.text] * 2 == texts

    @for_type("llm")
    def test_many_calls_at_once_each_get_an_answer(self, server: FaultServer, make: Make) -> None:
        chat = self.recorded()["chat.json"]
        self.serve(server, chat)
        model = make()

        async def run() -> list[str]:
            return list(await asyncio.gather(*(model.acall(str(at)) for at in range(8))))

        if len(chat.replies) == 1:  # replies in several parts need a server for each call
            assert [chat.expected.text] * 8 == asyncio.run(run())

    @for_type("llm")
    def test_a_shared_view_is_independent(self, server: FaultServer, make: Make) -> None:
        chat = self.recorded()["chat.json"]
        model = make()
        pirate = model.share(prompt="You are a pirate.")
        poet = model.share(prompt="You are a poet.")
        said = []
        for view in (model, pirate, poet, model):
            self.serve(server, chat)
            view(chat.expected.input)
            said.append(server.requests[-len(chat.replies)].body)

        assert said[0] == said[3]
        assert [False, True, False] == [b"pirate" in body for body in said[:3]]
        assert [False, False, True] == [b"poet" in body for body in said[:3]]

    @for_type("llm")
    def test_closing_a_shared_view_leaves_the_others_open(
        self, server: FaultServer, make: Make
    ) -> None:
        chat = self.recorded()["chat.json"]
        self.serve(server, chat)
        model = make()

        model.share().close()

        assert chat.expected.text == model(chat.expected.input)

    def test_explaining_the_choice_touches_nothing_and_names_the_provider(
        self, server: FaultServer
    ) -> None:
        type = next(iter(self.provider.types))
        choice = modelplug.explain(
            self.model_name(type) or "some-model", source=self.plugin, type=type
        )

        assert self.plugin in str(choice)
        assert 0 == server.connections
