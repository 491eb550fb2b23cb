"""`AutoModel` and `explain`: which world a model is in, and why, in words."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from core_helpers import Site, engine, provider

import modelplug
import modelplug.plugins
from modelplug.auto.choice import Candidate, Choice
from modelplug.errors import (
    ConfigError,
    MissingKey,
    NoModel,
    PluginNotFound,
    UnknownOption,
    Unsupported,
)
from modelplug.plugins import Plugins, scan
from modelplug.testing import outside_world
from modelplug.types import ModelType


@pytest.fixture(autouse=True)
def _alone(world: Site) -> None:
    """Only the plugins of this test are installed."""


def told(**arguments: Any) -> str:
    return str(modelplug.explain(**arguments))


# What explain says.


def test_a_models_name_may_be_a_sources(world: Site) -> None:
    choice = modelplug.explain("beta")

    assert ("online", "beta-1", "beta") == (choice.kind, choice.model, choice.source)
    assert Candidate("beta", "chosen", "the model's name is a source's") == choice.candidates[0]


def test_the_one_provider_with_a_key_is_chosen(
    world: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BETA_API_KEY", "k")

    assert told(model="x-1").splitlines()[:3] == [
        "x-1 → online, beta (llm)",
        "  ✗ acme: no key",
        "  ✓ beta: BETA_API_KEY is set",
    ]


def test_local_as_the_source_asks_no_provider(world: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(world)
    monkeypatch.setenv("ACME_API_KEY", "k")

    choice = modelplug.explain("here-1", source="local")

    assert ("local", (Candidate("local", "chosen", "source='local'"),)) == (
        choice.kind,
        choice.candidates,
    )


@pytest.mark.parametrize("manifest", ["nonsense", "[create_online.bad]\n"], ids=["toml", "table"])
def test_a_broken_provider_is_listed_and_stops_nobody(
    world: Site, manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.plugin("bad", manifest=manifest)
    monkeypatch.setenv("ACME_API_KEY", "k")

    lines = told(model="x-1").splitlines()

    assert "x-1 → online, acme (llm)" == lines[0]
    assert lines[2].startswith("  ✗ bad: site_bad: modelplug.toml")


def test_a_key_that_leads_nowhere_stops_nobody_else(
    world: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "file:/nowhere/key")
    monkeypatch.setenv("BETA_API_KEY", "k")

    choice = modelplug.explain("beta-1")

    assert "beta" == choice.source


def test_explain_as_data_is_what_it_says_in_words(
    world: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "sk-secret")

    data = modelplug.explain("acme-1").to_dict()

    assert {
        "kind": "online",
        "model": "acme-1",
        "type": "llm",
        "source": "acme",
        "candidates": [
            {
                "name": "acme",
                "verdict": "chosen",
                "why": "ACME_API_KEY is set and a pattern claims the model",
            },
            {"name": "beta", "verdict": "no", "why": "no key"},
        ],
        "settings": [
            {"name": "plugin", "value": "modelplug-acme 0.1.0", "from": "installed"},
            {"name": "model", "value": "acme-1", "from": "argument model"},
            {"name": "type", "value": "llm", "from": "acme's pattern 'acme-*'"},
            {"name": "url", "value": "https://acme.test/v1", "from": "default"},
            {"name": "api_key", "value": "***", "from": "ACME_API_KEY"},
        ],
        "steps": [{"step": "calls", "what": "https://acme.test/v1"}],
    } == data
    assert data == json.loads(json.dumps(data))
    assert "sk-secret" not in str(data)


def test_a_choice_without_a_model_says_so() -> None:
    assert "(default model) cannot be placed" == str(Choice("none", "", "", "", ()))


def test_explain_touches_nothing(
    world: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine(world)
    mark = tmp_path / "ran"
    monkeypatch.setenv("ACME_API_KEY", f"cmd:touch {mark}")
    monkeypatch.setenv("HOME", str(tmp_path))

    with outside_world() as seen:
        for arguments in (
            {"model": "x-1"},
            {"model": "acme-1"},
            {"model": "here-1"},
            {"source": "acme"},
            {"source": "local", "model": "here-1"},
        ):
            modelplug.explain(**arguments)

    assert [] == seen
    assert not mark.exists()
    assert {"here", "site"} == {path.name for path in tmp_path.iterdir()}
    assert {"site_acme", "site_beta", "site_quick"} & set(sys.modules) == set()


# What AutoModel makes.


def test_a_model_is_made_as_explained(world: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(world)
    monkeypatch.setenv("ACME_API_KEY", "k")

    online = modelplug.AutoModel("acme-2")
    default = modelplug.AutoModel("acme")
    local = modelplug.AutoModel("here-1", source="local", type="llm")

    assert isinstance(online, modelplug.OnlineModule)
    assert ("acme", "acme-2") == (online.source, online.model)
    assert isinstance(default, modelplug.OnlineModule)
    assert ("acme", "acme-1") == (default.source, default.model)
    assert isinstance(local, modelplug.TrainableModule)
    assert "<TrainableModule 'here-1' stopped>" == repr(local)


def test_a_source_without_a_key_is_a_missing_key_and_no_download(world: Site) -> None:
    engine(world)

    with pytest.raises(MissingKey):
        modelplug.AutoModel("here-1", source="acme")


def test_what_cannot_be_placed_lists_every_candidate(world: Site) -> None:
    with pytest.raises(NoModel) as caught:
        modelplug.AutoModel("x-1")

    assert told(model="x-1") == str(caught.value)


@pytest.mark.parametrize("name", ["base_model", "embed_model_name", "model_name"])
def test_other_names_of_the_model_are_known(world: Site, name: str) -> None:
    assert "x-1" == modelplug.explain(source="acme", **{name: "x-1"}).model
    assert "x-1" == modelplug.explain("x-1", source="acme", **{name: "x-1"}).model
    with pytest.raises(ConfigError) as caught:
        modelplug.explain("y", source="acme", **{name: "x"})
    assert "the model was named 2 times: 'y', 'x'" == str(caught.value)


@pytest.mark.parametrize("call", [modelplug.AutoModel, modelplug.explain], ids=["make", "explain"])
@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ({}, ConfigError, "AutoModel needs a model or a source"),
        ({"model": ""}, ConfigError, "AutoModel needs a model or a source"),
        ({"sorce": "acme"}, UnknownOption, "AutoModel takes no 'sorce'; did you mean 'source'? options of a provider go to OnlineModule or into each call"),
        ({"model": "x", "temperature": "1"}, UnknownOption, "AutoModel takes no 'temperature'; options of a provider go to OnlineModule or into each call"),
        ({"model": "x", "type": "lmm"}, ConfigError, "'lmm' is not a model type"),
        ({"source": "acne"}, PluginNotFound, "no installed plugin provides the source 'acne'"),
        ({"source": "acme", "type": "tts"}, Unsupported, "acme has no models of type tts"),
        ({"model": "x", "config_id": "a"}, ConfigError, "config_id='a' and there is no config map; "),
        ({"model": "x", "config_id": "a", "config": False}, ConfigError, "config_id='a' and config=False contradict each other; "),
        ({"model": "x", "config": "a.yaml"}, ConfigError, "the config map 'a.yaml' (argument config) cannot be read: "),
    ],
    ids="nothing empty near unknown type source unsupported config_id no_config config".split(),
)  # fmt: skip
def test_what_is_wrong_is_told_before_anything_is_made(
    world: Site, call: Any, arguments: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught:
        call(**arguments)

    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("config", [True, False])
def test_config_may_be_on_or_off(world: Site, config: bool) -> None:
    assert "online" == modelplug.explain(source="acme", config=config).kind


def test_a_type_changes_the_default_model(world: Site) -> None:
    assert ("acme-rerank", ModelType.RERANK) == (
        modelplug.explain(source="acme", type="rerank").model,
        modelplug.explain(source="acme", type="rerank").type,
    )


def test_the_world_of_these_tests_is_theirs(world: Site) -> None:
    assert provider("acme")
    assert ["acme", "beta"] == modelplug.plugins.installed().names("create_online")
    assert Plugins(scan()).names("create_online") != []
