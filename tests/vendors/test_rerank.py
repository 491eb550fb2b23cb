"""
Rerank of SiliconFlow and PPIO, in the form that Cohere and Jina began.

The SDK that these vendors name, OpenAI's, has no rerank. Together's has it in that form.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import together
from common import KEY, ROOT, Case, VendorSuite

from modelplug.testing import FaultServer


def rank(sdk: Any, model: str, **options: Any) -> dict[str, Any]:
    """A ranking."""
    reply = sdk.rerank.create(model=model, query="q", documents=["a", "b"], **options)
    return {"value": [[item.index, item.relevance_score] for item in reply.results]}


class TogetherSuite(VendorSuite):
    """The SDK adds /v1/rerank to its base URL."""

    package = "together"

    def sdk(self, server: FaultServer) -> together.Together:
        base = self.origin(server) + self.base_path.removesuffix("/v1")
        return together.Together(api_key=KEY, base_url=base, max_retries=0, timeout=10)


class TestSiliconFlow(TogetherSuite):
    source = "siliconflow"
    replies = (ROOT / "plugins/siliconflow/tests/replies",)
    cases = (
        Case(
            name="rerank",
            reply="rerank.json",
            type="rerank",
            model="BAAI/bge-reranker-v2-m3",
            theirs=partial(rank, top_n=2, return_documents=True),
            ours=lambda m: m("q", documents=["a", "b"], top_n=2, return_documents=True),
        ),
    )


class TestPPIO(TogetherSuite):
    source = "ppio"
    base_path = "/openai/v1"
    replies = (ROOT / "plugins-contrib/ppio/tests/replies",)
    cases = (
        Case(
            name="rerank",
            reply="rerank.json",
            type="rerank",
            model="baai/bge-reranker-v2-m3",
            theirs=partial(rank, top_n=2),
            ours=lambda m: m("q", documents=["a", "b"], top_n=2),
        ),
    )
