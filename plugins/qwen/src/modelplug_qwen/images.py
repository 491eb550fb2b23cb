"""Images: drawn from a prompt, or changed by one; at once or as tasks, as the model wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from modelplug.errors import BadReply, ConfigError, PermissionRefused, Unsupported
from modelplug.media import Media, Remote
from modelplug.openai_wire import OpenAIImages
from modelplug.types import ImageCall, Produced
from modelplug.wire import Flow, Request
from modelplug_qwen.dashscope import DashScope, matches

OLD = (
    "wanx*",
    "wan2.[0-5]*",
    "flux*",
    "stable-diffusion*",
)
"""Models of the older routes, which know tasks alone."""


class QwenImages(DashScope[ImageCall, Produced], OpenAIImages):
    """multimodal-generation; image-synthesis, as a task, for older models."""

    resumes = True
    options = frozenset("n negative_prompt prompt_extend seed size watermark".split())
    old_route = "/services/aigc/text2image/image-synthesis"

    def flow(self, call: ImageCall) -> Flow[Produced]:
        """The images, fetched at once: their URLs live a day."""
        if call.resume:
            produced = yield from self._of_task(call, call.resume)
            return produced
        call = yield from self.prepare(call)
        ways = [self._at_once, self._as_task]
        if matches(call.model, OLD):
            ways.reverse()
        try:
            produced = yield from ways[0](call)
        except PermissionRefused as error:
            # That a model knows tasks alone, or none, is told so, and no list of them is
            # complete (403 AccessDenied, "does not support synchronous calls", 2026-11).
            if error.code != "AccessDenied" or error.task:
                raise
            refused = error
        else:
            return produced
        try:
            produced = yield from ways[1](call)
        except PermissionRefused:
            raise refused from None
        return produced

    def _at_once(self, call: ImageCall) -> Flow[Produced]:
        path = "/services/aigc/multimodal-generation/generation"
        response = yield from self.send(self.native(path, self.payload(call)))
        with self.reading(response):
            produced = yield from self.collect(call, response.json())
        return produced

    def _as_task(self, call: ImageCall) -> Flow[Produced]:
        id = yield from self.submitted(self.job(call))
        produced = yield from self._of_task(call, id)
        return produced

    def _of_task(self, call: ImageCall, id: str) -> Flow[Produced]:
        with self.task(id):
            response = yield from self.ended(id, call.resume)
            with self.reading(response):
                produced = yield from self.collect(call, response.json())
        return produced

    def payload(self, call: ImageCall) -> dict[str, Any]:
        """The body of the newer routes: the images and the prompt as one user's turn."""
        content = [{"image": image.address} for image in call.images]
        content.append({"text": call.prompt})
        turn: dict[str, Any] = {"role": "user", "content": content}
        return _body(call, {"messages": [turn]}, parameters(call))

    def job(self, call: ImageCall) -> Request:
        """The request that submits *call* as a task."""
        if not matches(call.model, OLD):
            path = "/services/aigc/image-generation/generation"
            return self.native(path, self.payload(call), task=True)
        given = parameters(call)
        named = {name: given.pop(name) for name in ("negative_prompt", "function") if name in given}
        source = self.old_input(call) | named
        return self.native(self.old_route, _body(call, source, given), task=True)

    def old_input(self, call: ImageCall) -> dict[str, Any]:
        """`input` of the older route."""
        return {"prompt": call.prompt}

    def items(self, raw: Any) -> list[Mapping[str, Any]]:
        """The images of a reply: parts of its choices, or of an older task its results."""
        try:
            output = raw["output"]
            if "results" in output:
                return [
                    {"url": item["url"]} if item.get("url") else {"error": item}
                    for item in output["results"]
                ]
            return [
                {"url": part["image"]}
                for choice in output["choices"]
                for part in choice["message"]["content"]
                if "image" in part
            ]
        except (TypeError, KeyError, AttributeError) as exc:
            msg = f"the reply holds no list of images: {exc} @ $.output"
            raise BadReply(msg) from exc


class QwenImageEdit(QwenImages):
    """The same routes with images in the request."""

    options = QwenImages.options | {"function"}
    old_route = "/services/aigc/image2image/image-synthesis"

    def prepare(self, call: ImageCall) -> Flow[ImageCall]:
        """Upload local files for the older route, which takes addresses."""
        if not call.images:
            msg = "image editing needs files=[...], at least one image"
            raise ConfigError(msg)
        if call.mask is not None:
            msg = f"{self.endpoint.provider} takes no mask=; say in the prompt what to change"
            raise Unsupported(msg)
        if not matches(call.model, OLD):
            return call
        images: list[Media | Remote] = []
        for image in call.images:
            if isinstance(image, Media):
                image = Remote((yield from self.uploaded(call.model, image)))
            images.append(image)
        return evolve(call, images=images)

    def old_input(self, call: ImageCall) -> dict[str, Any]:
        """wanx2.1-imageedit takes one image and a function, wan2.5-i2i several images."""
        addresses = [image.address for image in call.images]
        if not matches(call.model, ("*-imageedit*",)):
            return {"prompt": call.prompt, "images": addresses}
        if len(addresses) > 1:
            msg = f"{call.model} changes one image at a time, and got {len(addresses)}"
            raise ConfigError(msg)
        return {
            "function": "description_edit",
            "prompt": call.prompt,
            "base_image_url": addresses[0],
        }


def parameters(call: ImageCall) -> dict[str, Any]:
    """The call's options; a size is written 1024*1024 here and 1024x1024 elsewhere."""
    given = dict(call.options)
    if isinstance(size := given.get("size"), str):
        given["size"] = re.sub(r"^(\d+)x(\d+)$", r"\1*\2", size)
    return given


def _body(call: ImageCall, source: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    body = {"model": call.model, "input": source}
    return {**body, "parameters": given} if given else body
