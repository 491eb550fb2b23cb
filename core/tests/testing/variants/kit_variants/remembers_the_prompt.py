"""Keeps the system text of one call for all later ones, so views are not independent."""

from typing import Any

from modelplug.openai_wire import OpenAIChat, OpenAICompatible
from modelplug.types import ChatCall


class Chat(OpenAIChat):
    system: dict[str, Any] | None = None

    def payload(self, call: ChatCall) -> dict[str, Any]:
        payload = super().payload(call)
        first, *_ = payload["messages"]
        if first["role"] == "system":
            self.system = first
        elif self.system is not None:
            payload["messages"] = [self.system, *payload["messages"]]
        return payload


plugin = OpenAICompatible(chat=Chat)
