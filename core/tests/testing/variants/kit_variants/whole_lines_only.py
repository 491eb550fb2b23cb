"""Needs whole lines in each piece of a stream."""

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Event
from modelplug.wire import Decoder


class Lines:
    def __init__(self, inner: Decoder) -> None:
        self.inner = inner
        self.finished = False

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        for line in chunk.splitlines():
            self.inner.feed(line + b"\n", events)
        self.finished = self.inner.finished

    def finish(self, events: list[Event]) -> None:
        self.inner.finish(events)


class Chat(OpenAIChat):
    def decoder(self, call: ChatCall) -> Decoder:
        return Lines(super().decoder(call))


plugin = OpenAICompatible(chat=Chat)
