"""Images: drawn from a prompt, or changed by one. Both POST to /images/generations."""

from __future__ import annotations

from typing import Any

import orjson

from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall, Produced
from modelplug.wire import Flow, Response


class ArkImages(OpenAIImages):
    """One image a request; a series of them is asked for by `sequential_image_generation`."""

    options = frozenset(
        "guidance_scale n optimize_prompt_options output_format response_format seed "
        "sequential_image_generation sequential_image_generation_options size tools "
        "watermark".split()
    )

    def collect(self, call: ImageCall, raw: Any) -> Flow[Produced]:
        """The images that were made; where all of them were refused, the first refusal."""
        items = self.items(raw)
        refusals = [item["error"] for item in items if isinstance(item.get("error"), dict)]
        if refusals and len(refusals) == len(items):
            raise self.parse_error(Response(200, body=orjson.dumps({"error": refusals[0]})))
        made = yield from super().collect(call, raw)
        return made


class ArkImageEdit(ArkImages):
    """Images as URLs or data URIs; seededit takes one and keeps its size."""

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body."""
        images = [image.address for image in call.images]
        if "seededit" in call.model.lower():
            return {"size": "adaptive", **super().payload(call), "image": images[0]}
        return {**super().payload(call), "image": images}
