"""Images of the Token Plan: drawn from a prompt, or changed by one."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall, Produced
from modelplug.wire import Flow, Request
from modelplug_sensenova.codec import SenseNovaCodec


class PlanImages(SenseNovaCodec[ImageCall, Produced], OpenAIImages):
    """POST /images/generations, one image a request."""

    options = frozenset("n output_format prompt_extend response_format size watermark".split())


class PlanImageEdit(PlanImages):
    """
    POST /images/edits, as JSON: one to five images, the first of which is changed.

    sensenova-u1-... is of an older convention: its images go into `image`, `image2` and so
    on of a request to /images/generations (2026-11).
    """

    def build_request(self, call: ImageCall) -> Request:
        """The request for *call*."""
        request = super().build_request(call)
        if _is_older(call):
            return request
        base = request.url.removesuffix(self.path)
        return evolve(request, url=f"{base}/images/edits")

    def prepare(self, call: ImageCall) -> Flow[ImageCall]:
        """Fetch what the older model does not."""
        if not _is_older(call):
            return call
        images = []
        for image in call.images:
            images.append((yield from self.local_copy(image)))
        return evolve(call, images=images)

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The request body."""
        payload, uris = super().payload(call), [image.address for image in call.images]
        if not _is_older(call):
            return {**payload, "images": [{"image_url": uri} for uri in uris]}
        names = ["image", *(f"image{place}" for place in range(2, len(uris) + 1))]
        return {**payload, **dict(zip(names, uris, strict=True))}


def _is_older(call: ImageCall) -> bool:
    return call.model.lower().startswith("sensenova-u1-")
