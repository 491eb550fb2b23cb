"""Decodes each piece of a stream as UTF-8 by itself."""

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Event
from modelplug.wire import Decoder


class Pieces:
    def __init__(self, inner: Decoder) -> None:
        self.inner = inner
        self.finished = False

    def feed(self, chunk: bytes, events: list[Event]) -> None:
        self.inner.feed(chunk.decode("utf-8", "replace").encode(), events)
        self.finished = self.inner.finished

    def finish(self, events: list[Event]) -> None:
        self.inner.finish(events)


class Chat(OpenAIChat):
    def decoder(self, call: ChatCall) -> Decoder:
        return Pieces(super().decoder(call))


plugin = OpenAICompatible(chat=Chat)
