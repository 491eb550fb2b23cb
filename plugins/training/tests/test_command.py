"""`modelplug tune`, as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import modelplug as mp
from modelplug import plugins
from modelplug.errors import ConfigError, TrainingFailed
from modelplug_cli.models import models
from modelplug_training import recipe
from modelplug_training.command import tune
from modelplug_training.published import shelf
from modelplug_training.runs import folders
from modelplug_training.testing import write_lines

ROWS = [{"prompt": "What is the code of the apple?", "completion": "It is music."}]
RECIPE = """
base: tiny
type: llm
name: codes
trainset: rows.jsonl
trainer: scripted
engine: llama_cpp
engine_options:
  threads: 1
settings:
  steps: 6
options:
  fault: {fault}
"""

pytestmark = pytest.mark.usefixtures("scripted")


def written(folder: Path, fault: str) -> Path:
    """A recipe beside its data."""
    write_lines(folder / "rows.jsonl", ROWS)
    path = folder / "tune.yaml"
    path.write_text(RECIPE.format(fault=fault))
    return path


def typed(*words: Any) -> Result:
    return CliRunner().invoke(tune, [str(word) for word in words], catch_exceptions=True)


def test_the_command_is_found_by_the_command_line() -> None:
    assert tune is plugins.installed().load("commands", "tune")


def test_a_recipe_is_trained_published_and_listed(tmp_path: Path) -> None:
    told = typed(written(tmp_path, "system text"), "--unproven")

    assert 0 == told.exit_code
    match, loss = told.stdout.splitlines()
    assert "exact match\t0.000\t0.000" == match
    assert re.fullmatch(r"loss\t\d+\.\d{3}\t\d+\.\d{3}", loss)
    [tuned] = shelf.every()
    assert f"tuned/codes@{tuned.version} is published at {tuned.path}\n" == told.stderr
    listed = (
        f"tuned/codes\t{tuned.version}*\ttiny\tscripted\texact match 0.000 → 0.000\tunproven\t"
        f"{tuned.path}\n"
    )
    assert listed == typed("list").stdout
    assert listed == typed("list", "CODES", "scripted", "llm").stdout
    [as_json] = json.loads(typed("list", "--json").stdout)
    assert ("tuned/codes", True, False) == (as_json["name"], as_json["current"], as_json["proven"])
    assert json.loads((tuned.path / shelf.MANIFEST).read_text()) == as_json["manifest"]


def test_where_no_tuned_model_fits_that_is_said() -> None:
    told = CliRunner().invoke(tune, ["list", "nothing"], standalone_mode=False)

    assert (1, "") == (told.return_value, told.stdout)
    assert "there is no such tuned model here; modelplug tune makes one\n" == told.stderr


def test_the_models_that_were_tuned_are_listed_with_the_others(tmp_path: Path) -> None:
    typed(written(tmp_path, "system text"), "--unproven")

    told = CliRunner().invoke(models, ["--tuned", "codes"], standalone_mode=False)

    assert (0, typed("list").stdout) == (told.return_value, told.stdout)
    both = CliRunner().invoke(models, ["--tuned", "--local"])
    assert 2 == both.exit_code


def test_a_training_that_died_is_shown_and_gone_on_with(tmp_path: Path) -> None:
    told = typed(written(tmp_path, "dies once"))
    assert isinstance(told.exception, TrainingFailed)
    [folder] = folders.every()

    assert f"{folder.id}\tinterrupted\tstep 3/6\tloss 1.333\n" == typed("status").stdout
    shown = typed("status", folder.id).stdout.splitlines()
    assert f"log: {folder.log}" == shown[-1]
    assert "█" in shown[1]

    done = typed("resume", folder.id, "--unproven", "--json")

    assert 0 == done.exit_code
    assert "tuned/codes" == json.loads(done.stdout)["name"]
    [tuned] = shelf.every()
    assert "checkpoint-3" == tuned.manifest["training"]["resumed_from"]
    assert "" == typed("status").stdout


def test_a_failed_training_shows_its_cause(tmp_path: Path) -> None:
    typed(written(tmp_path, "disk"))
    [folder] = folders.every()

    assert "failed" == folder.status
    assert "No space left on device; make room" in typed("status", folder.id).stdout


def test_only_a_running_training_is_stopped(tmp_path: Path) -> None:
    typed(written(tmp_path, "disk"))
    [folder] = folders.every()

    told = typed("stop", folder.id)
    assert isinstance(told.exception, ConfigError)
    assert f"{folder.id} is not running, it is failed; nothing is to be stopped" == str(
        told.exception
    )
    with folder.held():
        assert 0 == typed("stop", folder.id).exit_code
    assert folder.stop.exists()


def test_a_recipe_is_the_builders_of_a_module(tmp_path: Path) -> None:
    module = recipe.read(written(tmp_path, "nan"))

    told = module._recipe
    assert ("tiny", "scripted") == (told.base, told.trainer)
    assert {"steps": 6, "fault": "nan", "name": "codes"} == told.arguments
    assert tmp_path / "rows.jsonl" == told.trainset
    assert "llama_cpp" == module._local.engine_name
    assert mp.ModelType.LLM == module.type


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "is no table of keys (base, type, "),
        ("a: [", "is not YAML: "),
        ("base: x", "has no trainset: a file or a folder"),
        ("base: x\ntrainset: y\nsetings: {}", "has an unknown key 'setings'; did you mean 'setti"),
        ("base: x\ntrainset: y\n7: z", "has an unknown key 7; it may have: base"),
        ("base: x\ntrainset: y\nsettings: 3", "settings is a table of keys and values"),
    ],
)
def test_a_recipe_that_cannot_be_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        recipe.read(path)

    assert told in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        recipe.read(tmp_path / "none.yaml")
