"""Begins a broken stream again although text was given out."""

from typing import Any

from modelplug.errors import CallError
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall
from modelplug.wire import EventFlow


class Chat(OpenAIChat):
    def stream(self, call: ChatCall) -> EventFlow:
        given = False
        flow = super().stream(call)
        answer: Any = None
        try:
            while True:
                step = flow.send(answer)
                given = given or (isinstance(step, list) and bool(step))
                try:
                    answer = yield step
                except CallError as error:
                    answer = yield flow.throw(error)
        except StopIteration:
            return
        except CallError:
            if not given:
                raise
        yield from super().stream(call)


plugin = OpenAICompatible(chat=Chat)
