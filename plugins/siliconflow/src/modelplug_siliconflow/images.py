"""Images: drawn from a prompt, or changed by one. Both POST to /images/generations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall


class SiliconFlowImages(OpenAIImages):
    """The fields have names of their own: `size` is sent as image_size, `n` as batch_size."""

    options = frozenset(
        "cfg guidance_scale n negative_prompt num_inference_steps seed size".split()
    )

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body. Kolors wants a size; the first on its page is the default."""
        options = dict(call.options)
        count, size = options.pop("n", 1), options.pop("size", None)
        if size is None and _is_kolors(call):
            size = "1024x1024"
        payload = {"model": call.model, "prompt": call.prompt, **options}
        if size is not None:
            payload["image_size"] = size
        if count > 1:
            payload["batch_size"] = count
        return payload

    def items(self, raw: Any) -> list[Mapping[str, Any]]:
        """The images; documented as `images`, seen as `data` too, and mostly as both."""
        images = raw.get("images") if isinstance(raw, dict) else None
        return super().items({"data": images} if images else raw)


class SiliconFlowImageEdit(SiliconFlowImages):
    """Up to three images in `image`, `image2` and `image3`, as URLs or data URIs."""

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body."""
        names = ("image", "image2", "image3")
        images = zip(names, (image.address for image in call.images), strict=False)
        return super().payload(call) | dict(images)


def _is_kolors(call: ImageCall) -> bool:
    return "kolors" in call.model.lower()
