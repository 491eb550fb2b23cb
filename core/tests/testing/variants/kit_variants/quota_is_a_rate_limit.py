"""Takes an exhausted quota for something that waiting mends."""

from modelplug.errors import RateLimited
from modelplug.openai_wire import OpenAIChat, OpenAICompatible


class Chat(OpenAIChat):
    wire_codes = {**OpenAIChat.wire_codes, "insufficient_quota": RateLimited}


plugin = OpenAICompatible(chat=Chat)
