"""Says twice that a stream has finished."""

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Event, Finish
from modelplug.wire import Decoder


class Twice:
    def __init__(self, inner: Decoder) -> None:
        self.inner = inner
        self.finished = False

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        self.inner.feed(chunk, events)
        self.finished = self.inner.finished
        events.extend([event for event in events if type(event) is Finish])

    def finish(self, events: list[Event]) -> None:
        self.inner.finish(events)


class Chat(OpenAIChat):
    def decoder(self, call: ChatCall) -> Decoder:
        return Twice(super().decoder(call))


plugin = OpenAICompatible(chat=Chat)
