"""Families of local models, and where the hubs have them: `[catalogue.<family>]` of a manifest."""

from __future__ import annotations

from attrs import field, frozen

from modelplug.types import ModelType


def _type(name: str) -> str:
    return ModelType.parse(name).value


@frozen
class ModelFamily:
    """
    Models that differ in size alone.

    `{}` in `names` and in a repository stands for each of `sizes`. `repositories` maps a
    format to hubs, or `any` for all of them, and their repository; `quantization` is the one
    that is taken of a GGUF repository.
    """

    names: list[str]
    type: str = field(converter=_type)
    sizes: list[str] = field(factory=lambda: [""])
    quantization: str = "q4_k_m"
    repositories: dict[str, dict[str, str]] = field(factory=dict)
