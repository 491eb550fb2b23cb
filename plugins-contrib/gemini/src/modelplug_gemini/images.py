"""Images, drawn from a prompt or changed by one; and media in a reply."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from modelplug.errors import BadReply, Filtered
from modelplug.media import Media
from modelplug.openai_wire import image_of_base64
from modelplug.types import ImageCall, Produced
from modelplug.wire import Flow, Request, Response
from modelplug_gemini.contents import inline
from modelplug_gemini.turn import BLOCKED, Turn
from modelplug_gemini.wire import GENERATION, GeminiCodec


class GeminiImages(GeminiCodec[ImageCall, Produced]):
    """A prompt, and images, to images. What the model writes beside them comes out as notes."""

    options = GENERATION | {"aspect_ratio", "image_size"}

    def prepare(self, call: ImageCall) -> Flow[ImageCall]:
        """Fetch the images at URLs: the server fetches none."""
        images = []
        for image in call.images:
            images.append((yield from self.local_copy(image)))
        return evolve(call, images=images)

    def build_request(self, call: ImageCall) -> Request:
        """The request for *call*."""
        options = dict(call.options)
        names = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}
        size = {name: options.pop(ours) for ours, name in names.items() if ours in options}
        config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
        if size:
            config["imageConfig"] = size
        images = [inline(image) for image in call.images if isinstance(image, Media)]
        parts = [{"text": call.prompt}, *images]
        return self.generate([{"role": "user", "parts": parts}], options, config)

    def parse_response(self, call: ImageCall, response: Response) -> Produced:
        """The images of the answer."""
        return produced(response.json(), call.model, "image")


def produced(raw: Any, model: str, what: str) -> Produced:
    """
    The media that *raw*, a reply, holds, drafts from the thoughts left out.

    Filtered if it was stopped by rules, BadReply if there are none for another reason.
    """
    turn = Turn()
    said = turn.whole(raw)
    data = [part.get("inlineData") for part in turn.parts if not part.get("thought")]
    media = tuple(_media(each) for each in data if each)
    if not media:
        msg = f"the reply holds no {what}: {turn.why or said.text[:200]}"
        raise Filtered(msg, status=200) if said.finish_reason == BLOCKED else BadReply(msg)
    notes = (said.text,) if said.text else ()
    return Produced(media, said.model or model, said.usage, notes, raw)


def _media(data: Any) -> Media:
    try:
        media, mime = image_of_base64(data["data"]), data.get("mimeType")
    except (TypeError, KeyError, AttributeError) as exc:
        msg = f"a part is no file: {exc} @ $.candidates[0].content.parts"
        raise BadReply(msg) from exc
    return evolve(media, mime=mime) if isinstance(mime, str) else media
