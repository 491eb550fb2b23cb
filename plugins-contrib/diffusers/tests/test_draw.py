"""diffusers, really run: words in, pictures out."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from PIL import Image

import modelplug as mp
from modelplug.errors import EngineFailed, InvalidRequest
from modelplug.types import Deployment, ModelType, Secret, Weights
from modelplug_diffusers import plugin
from modelplug_diffusers.testing import VAE_SCALE

SMALL = {"size": "32x16", "seed": 7}


@pytest.fixture(scope="module")
def painter(weights: Path) -> Iterator[Any]:
    """One started engine for the module: two steps, small pictures, at most three."""
    limits = {"pixel_limit": 64 * 64, "step_limit": 5, "image_limit": 3}
    module = mp.TrainableModule(str(weights), type="text2image")
    with module.deploy_method(mp.deploy.diffusers, steps=2, threads=1, **limits) as model:
        yield model.start()


def opened(picture: mp.Media) -> Any:
    """The image of a file."""
    return Image.open(io.BytesIO(picture.data))


def test_a_picture_has_the_size_and_the_format_that_were_asked_for(painter: Any) -> None:
    picture = painter("a red kite", **SMALL)

    assert "image/png" == picture.mime
    assert ("PNG", (32, 16)) == (opened(picture).format, opened(picture).size)
    assert 1 < len(opened(picture).getcolors(10_000))


def test_without_a_size_the_pipeline_chooses(painter: Any) -> None:
    assert (32, 32) == opened(painter("a red kite")).size


def test_the_same_seed_draws_the_same_and_another_seed_or_prompt_another(painter: Any) -> None:
    picture = painter("a red kite", **SMALL)

    assert picture == asyncio.run(painter.acall("a red kite", **SMALL))
    assert picture != painter("a red kite", **{**SMALL, "seed": 8})
    assert picture != painter("a blue sea", **SMALL)


def test_several_pictures_have_seeds_that_follow_one_another(painter: Any) -> None:
    several = painter("a red kite", n=3, **SMALL)

    assert several == [painter("a red kite", **{**SMALL, "seed": 7 + n}) for n in range(3)]


@pytest.mark.parametrize(
    "options", [{"steps": 3}, {"guidance_scale": 1.5}, {"negative_prompt": "a sea"}]
)
def test_an_option_of_the_call_reaches_the_pipeline(painter: Any, options: Any) -> None:
    assert painter("a red kite", **SMALL) != painter("a red kite", **SMALL, **options)


@pytest.mark.parametrize("format_", ["jpeg", "webp"])
def test_pictures_come_in_other_formats(painter: Any, format_: str) -> None:
    picture = painter("a red kite", output_format=format_, **SMALL)

    assert f"image/{format_}" == picture.mime
    assert format_.upper() == opened(picture).format


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"size": "big"}, "size must be WIDTHxHEIGHT"),
        ({"size": "33x16"}, f"multiples of {VAE_SCALE}"),
        ({"size": "0x16"}, f"multiples of {VAE_SCALE}"),
        ({"size": "4096x4096"}, "an image may have 4096 pixels"),
        ({"size": "9" * 17 + "0x2"}, "an image may have 4096 pixels"),
        ({"steps": 6}, "steps must be a number from 1 to 5"),
        ({"n": 4}, "n must be a number from 1 to 3"),
        ({"seed": -1}, "seed must be a number from 0"),
        ({"response_format": "url"}, "response_format must be one of b64_json"),
        ({"quality": "hd"}, "unknown field 'quality'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(painter: Any, options: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        painter("a red kite", **options)


def test_openais_own_client_is_served(painter: Any) -> None:
    client = OpenAI(base_url=painter.url, api_key=painter.api_key.reveal(), max_retries=0)

    drawn = client.images.generate(
        model="any", prompt="a red kite", size="auto", n=2, extra_body={"seed": 7}
    )

    assert 2 == len(drawn.data or ())
    assert all(item.b64_json for item in drawn.data or ())


def test_weights_in_pickle_files_are_not_read(weights: Path, tmp_path: Path) -> None:
    for path in weights.rglob("*"):
        copy = tmp_path / "pickled" / path.relative_to(weights)
        if path.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    tensors = tmp_path / "pickled/unet/diffusion_pytorch_model.safetensors"
    tensors.rename(tensors.with_suffix(".bin"))
    model = mp.TrainableModule(str(tmp_path / "pickled"), type="text2image")

    with pytest.raises(EngineFailed, match="the weights lack diffusion_pytorch_model.safetensors"):
        model.deploy_method(mp.deploy.diffusers).start()


def test_the_plan_fits_the_deployment(tmp_path: Path) -> None:
    def plan(format: str = "diffusers", type: str = "text2image") -> Any:
        weights = Weights("w", tmp_path, format, ModelType(type))
        given = Deployment(weights, {"device": "cuda"}, "127.0.0.1", 20001, Secret("canary"))
        return plugin.deploy_local(given)

    assert "gpu" == plan().memory.device
    assert "canary" not in repr(plan())
    assert plan(format="safetensors") is None
    assert plan(type="image_editing") is None
