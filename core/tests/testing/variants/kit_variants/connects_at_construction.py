"""Looks whether the server is there while the model is made."""

import socket
from typing import Any
from urllib.parse import urlsplit

from modelplug.hookspecs import hookimpl
from modelplug.openai_wire import OpenAICompatible
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec


class Eager(OpenAICompatible):
    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        address = urlsplit(endpoint.url)
        with socket.socket() as probe:
            probe.connect_ex((address.hostname, address.port or 443))
        return super().create_online(endpoint, type)


plugin = Eager()
