"""Images: drawn from a prompt, or changed by one. Both POST to /images/generations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.errors import ConfigError, Unsupported
from modelplug.media import Remote
from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall, Produced
from modelplug.wire import Flow, Together

_LARGEST_BATCH = 4
_MOST_IMAGES = 3


class SiliconFlowImages(OpenAIImages):
    """The fields have names of their own: `size` is sent as image_size, `n` as batch_size."""

    options = frozenset(
        "cfg guidance_scale n negative_prompt num_inference_steps seed size".split()
    )

    def flow(self, call: ImageCall) -> Flow[Produced]:
        """Only Kolors draws several at once; of the others each is a request of its own."""
        calls = _split(call, _LARGEST_BATCH if _is_kolors(call) else 1)
        if len(calls) == 1:
            result = yield from super().flow(calls[0])
            return result
        parts: list[Produced] = yield Together([self.flow(one) for one in calls])
        return Produced(tuple(media for part in parts for media in part.media), call.model)

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
        if call.mask is not None:
            msg = f"{self.endpoint.provider} takes no mask; say in the prompt what to change"
            raise Unsupported(msg)
        if not 1 <= len(call.images) <= _MOST_IMAGES:
            msg = (
                f"image editing needs files=[...], one to {_MOST_IMAGES} images, "
                f"and got {len(call.images)}"
            )
            raise ConfigError(msg)
        payload = super().payload(call)
        for place, image in enumerate(call.images, 1):
            uri = image.url if isinstance(image, Remote) else image.data_uri()
            payload["image" if place == 1 else f"image{place}"] = uri
        return payload


def _is_kolors(call: ImageCall) -> bool:
    return "kolors" in call.model.lower()


def _split(call: ImageCall, most: int) -> list[ImageCall]:
    """*call* as calls for at most *most* images each; their seeds differ."""
    wanted = call.options.get("n", 1)
    if type(wanted) is not int or wanted < 1:
        msg = f"n= counts images from 1, and is {wanted!r}"
        raise ConfigError(msg)
    seed = call.options.get("seed")
    calls = []
    for at in range(0, wanted, most):
        options = {**call.options, "n": min(most, wanted - at)}
        if type(seed) is int:
            options["seed"] = seed + at
        calls.append(evolve(call, options=options))
    return calls
