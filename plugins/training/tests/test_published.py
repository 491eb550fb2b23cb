"""Published versions: whole or not there, one of them current."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import modelplug as mp
from modelplug import plugins
from modelplug.errors import ConfigError, NoModel
from modelplug.types import Comparison, ModelType, Weights
from modelplug_cli.weights import bundle
from modelplug_training.published import page, shelf
from modelplug_training.published.shelf import Shelf, shelf_of

MANIFEST: dict[str, Any] = {
    "name": "x",
    "type": "llm",
    "base": {"name": "tiny"},
    "metrics": {"base": {}, "tuned": {}},
}


def test_a_version_is_there_once_its_manifest_is(home: Path) -> None:
    kept = shelf_of("", "org/X-1.5b")
    version = kept.new_version()

    assert home / "models" / "tuned" / "X-1.5b" == kept.path
    assert ([], None) == (kept.versions(), kept.current)

    tuned = kept.publish(version, MANIFEST)

    assert ([version.name], version.name) == (kept.versions(), kept.current)
    assert (True, version, "tiny") == (tuned.current, tuned.path, tuned.base)
    assert [tuned] == shelf.every()
    assert {"current", version.name} == {path.name for path in kept.path.iterdir()}


def test_versions_of_one_second_are_told_apart_and_rolled_back() -> None:
    kept = shelf_of("x", "tiny")
    first, second = (kept.publish(kept.new_version(), MANIFEST).version for _ in range(2))

    assert [first, second] == kept.versions()
    assert second == kept.current
    assert first == kept.before_current()
    assert first == kept.promote(first).version
    assert first == kept.current
    with pytest.raises(ConfigError, match=f"tuned/x has no version before {first}"):
        kept.before_current()
    with pytest.raises(NoModel, match="tuned/x has no version 'none'"):
        kept.promote("none")


@pytest.fixture
def adapted(tmp_path: Path, weights_folder: Path) -> tuple[Path, Path]:
    """(base, version) of tuned/x, an embedder that was proven as an adapter."""
    base, kept = tmp_path / "base", shelf_of("x", "tiny-embed")
    shutil.copytree(weights_folder / "tiny-embed", base)
    version = kept.new_version()
    shutil.copytree(base, version, dirs_exist_ok=True)
    served = {"format": "safetensors", "context": 64, "base": str(base), "adapter": "adapter"}
    kept.publish(version, {**MANIFEST, "type": "embed", "served": served})
    return base, version


def found(*formats: str) -> Weights:
    """What tuned/x is found as."""
    return plugins.installed().runtime().find("tuned/x", formats=formats)


def test_what_was_proven_as_an_adapter_is_found_as_one(adapted: tuple[Path, Path]) -> None:
    base, version = adapted

    weights = found("gguf", "safetensors")
    assert ("tuned/x", base, version / "adapter") == (weights.name, weights.path, weights.adapter)
    assert (ModelType.EMBED, 64) == (weights.type, weights.context)
    with pytest.raises(NoModel, match="it is there as safetensors"):
        found("gguf")  # nobody has proven another format
    shutil.rmtree(base)
    with pytest.raises(NoModel, match="it is an adapter on '.*/base', which is gone"):
        found("safetensors")


def test_a_base_is_not_shown_or_packed_in_the_name_of_its_adapter(
    adapted: tuple[Path, Path], tmp_path: Path
) -> None:
    base, version = adapted

    told = str(mp.explain("tuned/x", source="local"))
    assert f"{base}" in told
    assert f"with the adapter {version / 'adapter'}" in told
    packed = CliRunner().invoke(bundle, ["tuned/x", "-o", str(tmp_path / "x.tar")])
    assert isinstance(packed.exception, ConfigError)
    assert f"'tuned/x' is the adapter '{version / 'adapter'}' on '{base}'; copy both" in str(
        packed.exception
    )


@pytest.mark.usefixtures("adapted")
def test_an_engine_that_serves_no_adapter_does_not_serve_the_base_instead() -> None:
    model = mp.TrainableModule("tuned/x").deploy_method("sentence_transformers")

    with pytest.raises(ConfigError) as caught:
        model.start()

    assert "'tuned/x' is an adapter on " in str(caught.value)
    assert "sentence_transformers serves none; take an engine with an option 'lora'" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("target", "base", "name"),
    [
        ("mine", "tiny", "mine"),
        ("tuned/mine@3", "tiny", "mine"),
        ("", "/models/qwen.gguf", "qwen"),
        ("", "Qwen/Qwen2-1.5B", "Qwen2-1.5B"),
    ],
)
def test_a_name_is_the_targets_else_the_bases(target: str, base: str, name: str) -> None:
    assert shelf.root() / name == shelf_of(target, base).path


def test_an_absolute_target_is_a_place_of_its_own(tmp_path: Path) -> None:
    assert Shelf(tmp_path / "x") == shelf_of(str(tmp_path / "x"), "tiny")


def test_files_are_linked_where_that_can_be(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x")

    shelf.link_tree(tmp_path / "a", tmp_path / "d")

    assert (tmp_path / "a/b/c").stat().st_ino == (tmp_path / "d/b/c").stat().st_ino


def test_a_page_shows_texts_and_runs_none_of_them(tmp_path: Path) -> None:
    rows = [{"asked": "<script>", "wanted": "a | b", "base": "<b>", "tuned": "b"}]

    told = Comparison(
        "tiny", "tuned/x", {"map": (0.25, 1.0)}, rows, tmp_path / "x.html", ["loss: not <measured>"]
    )
    page.write(told)

    text = (tmp_path / "x.html").read_text()
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert '<td class="right">b' in text
    assert "<td>&lt;b&gt;" in text
    assert "0.250" in text
    assert "+0.750" in text
    assert "<p>loss: not &lt;measured&gt;</p>" in text
