"""Takes an object without choices for an empty answer."""

from modelplug.errors import BadReply
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall, Completion
from modelplug.wire import Response


class Chat(OpenAIChat):
    def parse_response(self, call: ChatCall, response: Response) -> Completion:
        try:
            return super().parse_response(call, response)
        except BadReply:
            return Completion("")


plugin = OpenAICompatible(chat=Chat)
