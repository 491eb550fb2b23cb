"""
Serves one text-to-image pipeline with diffusers, on /v1/images/generations.

Run by path, in any interpreter that has diffusers, with modelplug-local's engine_server on
its path; it imports nothing else of modelplug.
"""

from __future__ import annotations

import base64
import inspect
import io
import secrets
import time
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import DiffusionPipeline
from engine_server import Fields, Refused, Request, Service, run

FIELDS = (
    *("model", "prompt", "n", "size", "response_format", "output_format", "user"),
    *("seed", "steps", "guidance_scale", "negative_prompt"),
)
FORMATS = ("png", "jpeg", "webp")


def device_of(asked: str) -> str:
    """cpu or cuda; for "auto" what is there."""
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return asked


def dtype_of(asked: str, device: str) -> torch.dtype:
    """Half precision on a GPU; on a CPU most kernels have none, or a slow one."""
    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if asked == "auto":
        return torch.float16 if device == "cuda" else torch.float32
    return names[asked]


def size_of(fields: Fields, multiple: int, most: int) -> dict[str, int]:
    """`size` as the pipeline's width and height; nothing where the pipeline is to choose."""
    asked = fields.text("size", "auto", longest=20)
    if asked == "auto":
        return {}
    width, cross, height = asked.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise Refused(400, "size must be WIDTHxHEIGHT, such as 512x512, or auto")
    size = {"width": int(width), "height": int(height)}
    if any(side < multiple or side % multiple for side in size.values()):
        raise Refused(400, f"width and height must be multiples of {multiple}")
    if size["width"] * size["height"] > most:
        raise Refused(400, f"an image may have {most} pixels")
    return size


def options_of(fields: Fields, settings: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """What the pipeline is called with beside prompt and size; Refused for what it has not."""
    options: dict[str, Any] = {}
    if fields.has("steps") or settings["steps"]:
        steps = fields.whole("steps", settings["steps"], least=1, most=settings["step_limit"])
        options["num_inference_steps"] = steps
    if fields.has("guidance_scale"):
        options["guidance_scale"] = fields.number("guidance_scale", None, least=0.0, most=100.0)
    if fields.has("negative_prompt"):
        options["negative_prompt"] = fields.text("negative_prompt", longest=10_000)
    for name in options:
        if name not in known:
            raise Refused(400, f"this pipeline has no {name}; leave it out")
    return options


def encode(image: Any, format_: str) -> str:
    """An image as a file in base64."""
    file = io.BytesIO()
    image.convert("RGB").save(file, format=format_)
    return base64.b64encode(file.getvalue()).decode()


def load(settings: dict[str, Any]) -> Service:
    """The pipeline, and its route."""
    torch.set_num_threads(settings["threads"])
    device = device_of(settings["device"])
    pipeline = DiffusionPipeline.from_pretrained(
        settings["path"],
        dtype=dtype_of(settings["dtype"], device),
        local_files_only=True,
        use_safetensors=True,  # a pickle may run code while it is read
        trust_remote_code=settings["trust_remote_code"],
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    known = set(inspect.signature(pipeline.__call__).parameters)
    multiple = getattr(pipeline, "vae_scale_factor", 8)

    def draw(request: Request) -> dict[str, Any]:
        fields = request.json()
        fields.only(*FIELDS)
        fields.one_of("response_format", "b64_json", ("b64_json",))
        prompt = fields.text("prompt", longest=10_000)
        format_ = fields.one_of("output_format", "png", FORMATS)
        seed = fields.whole("seed", secrets.randbits(32), least=0, most=2**53)
        options = options_of(fields, settings, known)
        options |= size_of(fields, multiple, settings["pixel_limit"])

        def after_step(_: Any, __: int, ___: Any, state: dict[str, Any]) -> dict[str, Any]:
            request.check_caller()
            return state

        if "callback_on_step_end" in known:
            options["callback_on_step_end"] = after_step
        images = []
        # One after another: as many as are asked for at once might not fit into memory.
        for number in range(fields.whole("n", 1, least=1, most=settings["image_limit"])):
            request.check_caller()
            # On the CPU always, so that a seed draws the same picture on every machine.
            dice = torch.Generator("cpu").manual_seed(seed + number)
            images += pipeline(prompt, generator=dice, **options).images
        data = [{"b64_json": encode(image, format_)} for image in images]
        return {"created": int(time.time()), "output_format": format_, "data": data}

    return Service({"/v1/images/generations": draw}, settings["model"], queue=settings["queue"])


if __name__ == "__main__":
    run(load)
