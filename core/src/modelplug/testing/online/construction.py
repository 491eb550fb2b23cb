"""What must hold before the first request: the plugin, its manifest, a model's making."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import modelplug
from modelplug.catalog import CAPABILITIES
from modelplug.errors import MissingKey, UnknownOption
from modelplug.plugins import installed
from modelplug.testing.fault_server import FaultServer
from modelplug.testing.network import outside_world
from modelplug.testing.online.base import Make, OnlineBase, for_type
from modelplug.types import ModelType

if TYPE_CHECKING:
    from modelplug.catalog import Provider

HEAVY = frozenset(
    {
        "aiohttp",
        "anyio",
        "cattrs",
        "dashscope",
        "h11",
        "httpcore",
        "httpx",
        "llama_cpp",
        "numpy",
        "openai",
        "pydantic",
        "requests",
        "sentence_transformers",
        "torch",
        "transformers",
        "urllib3",
        "vllm",
        "volcenginesdkarkruntime",
        "zhipuai",
    }
)
"""Modules that importing a plugin must not load: each costs 50 ms to many seconds."""
"""What a manifest may say under `does`."""

_PROBE = "import json, sys; import {module}; print(json.dumps(sorted(sys.modules)))"


def loaded_by_importing(module: str) -> list[str]:
    """Which of `HEAVY` a fresh interpreter has loaded after importing *module* alone."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run(  # noqa: S603 - this interpreter, and a module's name from metadata
        [sys.executable, "-c", _PROBE.format(module=module)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(HEAVY.intersection(json.loads(told.stdout)))


class ConstructionTests(OnlineBase):
    """The plugin, its manifest and the making of a model."""

    def test_importing_the_plugin_loads_nothing_heavy(self) -> None:
        module = installed().find("create_online", self.plugin).module

        assert [] == loaded_by_importing(module)

    def test_the_manifest_says_what_the_provider_is(self) -> None:
        provider = self.provider

        assert provider.title
        assert re.fullmatch(r"https?://\S+", provider.base_url)
        assert provider.types
        assert [] == [name for name in provider.key_env if not re.fullmatch(r"[A-Z0-9_]+", name)]
        named = {*provider.does, *(word for rule in provider.rules for word in rule.does)}
        assert set() == named - CAPABILITIES

    def test_every_type_in_the_manifest_is_a_type(self) -> None:
        named = [*provider_types(self.provider)]

        assert named == [ModelType.parse(name) for name in named]

    @pytest.mark.parametrize("type", [type.value for type in ModelType])
    def test_a_type_is_declared_and_constructs_or_is_unsupported(
        self, type: str, make: Make
    ) -> None:
        if type not in self.provider.types:
            self.check_unsupported(type)
            return
        model = make(type)

        assert type == model.type

    def test_the_default_model_of_a_type_is_the_manifests(self, make: Make) -> None:
        defaults = self.provider.types

        made = {
            type: modelplug.OnlineModule(
                source=self.plugin, type=type, url="http://127.0.0.1:9/v1", api_key="k"
            ).model
            for type, default in defaults.items()
            if default
        }

        assert {type: default for type, default in defaults.items() if default} == made

    def test_construction_does_no_io(self, server: FaultServer, make: Make) -> None:
        with outside_world() as seen:
            for type in self.provider.types:
                make(type)

        assert [] == seen
        assert 0 == server.connections

    def test_a_missing_key_is_told_before_anything_is_sent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]
        names += [name for pair in self.provider.key_pairs for name in pair]
        for name in {*names, *self.provider.key_env, *self.provider.base_url_env}:
            monkeypatch.delenv(name, raising=False)
        if not self.provider.key_env:
            assert modelplug.OnlineModule(self.model, source=self.plugin).model
            return

        with outside_world() as seen, pytest.raises(MissingKey) as caught:
            modelplug.OnlineModule(self.model or None, source=self.plugin)("hello")

        assert [] == seen
        assert self.provider.key_env[0] in str(caught.value)

    @for_type("llm")
    def test_an_unknown_option_is_refused_and_the_near_one_named(
        self, server: FaultServer, make: Make
    ) -> None:
        wrong = self.an_option[:-1]

        with pytest.raises(UnknownOption) as at_the_call:
            make()("hello", **{wrong: 1})
        with pytest.raises(UnknownOption) as at_construction:
            make(**{wrong: 1})

        assert [] == server.requests
        for caught in (at_the_call, at_construction):
            assert repr(wrong) in str(caught.value)
            assert repr(self.an_option) in str(caught.value)


def provider_types(provider: Provider) -> list[str]:
    """Every type that a manifest names, in its table of types and in its patterns."""
    return [*provider.types, *provider.models.values()]
