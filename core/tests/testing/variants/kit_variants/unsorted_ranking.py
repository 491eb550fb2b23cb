"""Takes a ranking in the order in which it arrives."""

from modelplug.openai_wire import OpenAICompatible, OpenAIRerank
from modelplug.types import Ranking, RerankCall
from modelplug.wire import Response


class Rerank(OpenAIRerank):
    def parse_response(self, call: RerankCall, response: Response) -> Ranking:
        best_first = super().parse_response(call, response)
        return Ranking(sorted(best_first.results), best_first.model, best_first.usage)


plugin = OpenAICompatible(rerank=Rerank)
