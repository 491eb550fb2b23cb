"""Cannot sort an error whose body is no JSON."""

from modelplug.errors import BadReply, CallError
from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.wire import Response


class Chat(OpenAIChat):
    def parse_error(self, response: Response) -> CallError:
        try:
            response.json()
        except BadReply as error:
            return error
        return super().parse_error(response)


plugin = OpenAICompatible(chat=Chat)
