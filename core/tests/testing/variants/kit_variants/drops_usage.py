"""Leaves out the usage of a whole reply."""

from attrs import evolve

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Completion, Usage
from modelplug.wire import Response


class Chat(OpenAIChat):
    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        return evolve(super().parse_response(call, response), usage=Usage())


plugin = OpenAICompatible(chat=Chat)
