"""Declares rankings in its manifest and has none."""

from typing import Any

from modelplug.hookspecs import hookimpl
from modelplug.openai_wire import OpenAICompatible
from modelplug.types import Endpoint, ModelType
from modelplug.wire import Codec


class Boaster(OpenAICompatible):
    @hookimpl
    def create_online(self, endpoint: Endpoint, type: ModelType) -> Codec[Any, Any] | None:
        return None if type is ModelType.RERANK else super().create_online(endpoint, type)


plugin = Boaster()
