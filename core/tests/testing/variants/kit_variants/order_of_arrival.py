"""Takes embeddings in the order in which they arrive."""

from modelplug.openai_wire import OpenAICompatible, OpenAIEmbed
from modelplug.types import EmbedCall, Embeddings
from modelplug.wire import Response


class Embed(OpenAIEmbed):
    def parse_response(self, call: EmbedCall, response: Response) -> Embeddings:
        sorted_ones = super().parse_response(call, response)
        order = [item["index"] for item in response.json()["data"]]
        return Embeddings([sorted_ones.vectors[at] for at in order], call.model, sorted_ones.usage)


plugin = OpenAICompatible(embed=Embed)
