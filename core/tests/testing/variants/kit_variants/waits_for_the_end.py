"""Gives nothing out before the stream has ended."""

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Event
from modelplug.wire import Decoder


class Late:
    def __init__(self, inner: Decoder) -> None:
        self.inner = inner
        self.held: list[Event] = []
        self.finished = False

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        self.inner.feed(chunk, self.held)
        if self.inner.finished:
            events.extend(self.held)
            self.finished = True

    def finish(self, events: list[Event]) -> None:
        if not self.finished:
            self.inner.finish(self.held)
            events.extend(self.held)


class Chat(OpenAIChat):
    def decoder(self, call: ChatCall) -> Decoder:
        return Late(super().decoder(call))


plugin = OpenAICompatible(chat=Chat)
