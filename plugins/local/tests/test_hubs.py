"""Which hub is asked, where it is and with which token."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplug import plugins
from modelplug.errors import ConfigError
from modelplug_local.weights import catalogue
from modelplug_local.weights.hubs import access
from modelplug_local.weights.progress import size

MANIFEST = """
[catalogue.acme]
names = ["acme-{}"]
sizes = ["1B", "2B"]
type = "llm"
repositories.gguf = { huggingface = "acme/Acme-{}-GGUF" }

[catalogue.broken]
names = 7
"""


@pytest.mark.parametrize(
    ("source", "env", "name", "origin"),
    [
        (None, {}, "modelscope", "default"),
        (None, {"LAZYLLM_MODEL_SOURCE": "huggingface"}, "huggingface", "LAZYLLM_MODEL_SOURCE"),
        (
            None,
            {"LAZYLLM_MODEL_SOURCE": "huggingface", "MODELPLUG_MODEL_SOURCE": "ModelScope"},
            "modelscope",
            "MODELPLUG_MODEL_SOURCE",
        ),
        (
            "huggingface",
            {"MODELPLUG_MODEL_SOURCE": "modelscope"},
            "huggingface",
            "argument source",
        ),
    ],
)
def test_the_argument_then_the_variables_choose_the_hub(
    source: str | None, env: dict[str, str], name: str, origin: str
) -> None:
    found = access(source, env)

    assert (name, origin) == (found.hub.name, found.origin)


def test_an_unknown_hub_names_the_variable_that_said_so() -> None:
    with pytest.raises(ConfigError, match="'hub' is no hub .MODELPLUG_MODEL_SOURCE; there are "):
        access(None, {"MODELPLUG_MODEL_SOURCE": "hub"})


@pytest.mark.parametrize(
    ("hub", "env", "endpoint", "token"),
    [
        ("modelscope", {}, None, None),
        (
            "modelscope",
            {"MODELSCOPE_ENDPOINT": "https://ms.example/", "MODELSCOPE_API_TOKEN": " a "},
            "https://ms.example",
            "a",
        ),
        (
            "huggingface",
            {"HF_ENDPOINT": "https://hf.example", "HUGGING_FACE_HUB_TOKEN": "old", "HF_TOKEN": "b"},
            "https://hf.example",
            "b",
        ),
        (
            "huggingface",
            {
                "HF_ENDPOINT": "https://hf.example",
                "MODELPLUG_HUGGINGFACE_ENDPOINT": "https://ours.example",
                "HF_TOKEN": "b",
                "MODELPLUG_HUGGINGFACE_TOKEN": "c",
                "MODELSCOPE_API_TOKEN": "not this one",
            },
            "https://ours.example",
            "c",
        ),
    ],
)
def test_the_address_and_the_token_are_each_hubs_own(
    hub: str, env: dict[str, str], endpoint: str | None, token: str | None
) -> None:
    found = access(hub, env)

    assert endpoint == found.endpoint
    assert token == (found.token.reveal() if found.token else None)
    assert token is None or f"'{token}'" not in repr(found)


@pytest.mark.parametrize(
    ("hub", "env", "variable"),
    [
        ("modelscope", {"MODELPLUG_OFFLINE": "1"}, "MODELPLUG_OFFLINE"),
        ("modelscope", {"HF_HUB_OFFLINE": "1"}, ""),
        ("huggingface", {"HF_HUB_OFFLINE": "ON"}, "HF_HUB_OFFLINE"),
        ("huggingface", {"MODELPLUG_OFFLINE": "0"}, ""),
        ("modelscope", {"LAZYLLM_OFFLINE": "true"}, "LAZYLLM_OFFLINE"),
    ],
)
def test_a_variable_forbids_to_ask_a_hub(hub: str, env: dict[str, str], variable: str) -> None:
    assert variable == access(hub, env).offline


def test_a_plugin_adds_a_family_and_a_broken_one_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").write_text("1 / 0")
    (tmp_path / "acme" / "modelplug.toml").write_text(MANIFEST)
    (tmp_path / "acme-1.dist-info").mkdir()
    (tmp_path / "acme-1.dist-info" / "METADATA").write_text("Name: acme\nVersion: 1\n")
    (tmp_path / "acme-1.dist-info" / "entry_points.txt").write_text(
        "[modelplug.catalogue]\nacme = acme\nbroken = acme\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.forget()
    try:
        found = catalogue.repository("ACME-2b", "huggingface", "gguf")
        broken = catalogue.catalogue().broken
    finally:
        monkeypatch.undo()
        plugins.forget()

    assert "acme/Acme-2B-GGUF" == found
    assert 1 == len(broken)
    assert "[catalogue.broken]" in broken[0]
    assert catalogue.repository("acme-2b", "huggingface", "gguf") is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e12, "5000.0 GB")],
)
def test_a_size_is_told_for_people(count: float, text: str) -> None:
    assert text == size(count)
