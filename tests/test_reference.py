"""The reference pages name everything that there is, and nothing that there is not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import get_args

import click
import pytest
from attrs import fields

import modelplug
from modelplug import catalog, errors, hookspecs, plugins
from modelplug.models import Model
from modelplug.retry import Retry
from modelplug.types import (
    Completion,
    Embeddings,
    ErrorRule,
    Event,
    Limits,
    ModelType,
    Produced,
    Quirks,
    Ranking,
    Timeouts,
    Transcript,
)
from modelplug_cli.main import cli

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"


def code_in(page: str) -> set[str]:
    """Every word in backticks of a reference page, and what stands before a parenthesis."""
    text = re.sub(r"```.*?```", "", (REFERENCE / page).read_text(encoding="utf-8"), flags=re.S)
    spans = re.findall(r"`([^`]+)`", text)
    return {*spans, *(re.split(r"[(.= ]", span)[0] for span in spans)}


def test_every_public_name_is_on_the_api_page() -> None:
    assert set() == set(modelplug.__all__) - code_in("api.md")


def test_every_method_of_a_model_is_on_the_api_page() -> None:
    for cls in (Model, modelplug.TrainableModule):
        public = {name for name in vars(cls) if not name.startswith("_")}
        assert set() == public - code_in("api.md")


@pytest.mark.parametrize("result", [Completion, Embeddings, Ranking, Transcript, Produced])
def test_every_field_of_a_result_is_on_the_api_page(result: type) -> None:
    names = {field.name for field in fields(result)} - {"single"}

    assert set() == names - code_in("api.md")


def test_every_kind_of_event_is_on_the_api_page() -> None:
    assert set() == {event.kind for event in get_args(Event)} - code_in("api.md")


@pytest.mark.parametrize("door", ["AutoModel", "OnlineModule", "TrainableModule"])
def test_the_signatures_on_the_api_page_are_the_real_ones(door: str) -> None:
    spans = re.findall(r"`(\w+\(.*?\))`", (REFERENCE / "api.md").read_text(encoding="utf-8"))
    shown = next(span for span in spans if span.startswith(f"{door}("))
    signature = inspect.signature(getattr(modelplug, door))
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    real = str(inspect.Signature(bare)).replace("'", '"')

    assert f"{door}{real}" == shown


def test_every_error_is_on_the_errors_page_and_no_other() -> None:
    classes = {
        name: cls
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.ModelplugError)
    }
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:· )*)`(\w+)` \|", text, re.M)
    shown = {name: len(mark) // 2 for mark, name in rows if name[0].isupper()}

    assert {name: _depth(cls) for name, cls in classes.items()} == shown


def _depth(cls: type) -> int:
    return 0 if cls is errors.ModelplugError else 1 + _depth(cls.__mro__[1])


@pytest.mark.parametrize(
    "cls",
    [
        catalog.Provider,
        catalog.EngineTraits,
        catalog.TrainerTraits,
        catalog.Environment,
        catalog.Failure,
        catalog.ShippedWeights,
        catalog.Rule,
        catalog.Service,
        ErrorRule,
        Limits,
        Quirks,
    ],
)
def test_every_key_of_a_manifest_is_on_the_manifest_page(cls: type) -> None:
    prefix = {
        Limits: "limits.",
        Quirks: "quirks.",
        catalog.Rule: "rules.",
        catalog.Service: "services.",
        catalog.Environment: "environments.",
        catalog.Failure: "failures.",
        ErrorRule: "error-rules.",
    }.get(cls, "")
    keys = {prefix + field.name.replace("_", "-") for field in fields(cls)}

    assert set() == keys - code_in("manifest.md")


def test_every_type_and_capability_is_on_the_manifest_page() -> None:
    assert set() == {*ModelType, *catalog.CAPABILITIES} - code_in("manifest.md")


def test_every_hook_and_group_is_on_the_hooks_page() -> None:
    text = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    for hook in plugins.HOOKS:
        arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
        assert f"`{hook}({arguments})`" in text
    for group in ("weights", "runtime", "commands", plugins.WRAPPERS):
        assert f"`{plugins.PREFIX}{group}`" in text


@pytest.mark.parametrize("cls", [Timeouts, Retry])
def test_every_limit_is_on_the_timeouts_page_with_its_default(cls: type) -> None:
    text = (REFERENCE / "timeouts.md").read_text(encoding="utf-8")
    for field in fields(cls):
        assert re.search(rf"^\| `{field.name}` \| {field.default:g} \|", text, re.M), field.name


def test_every_variable_that_the_code_reads_is_on_the_settings_page() -> None:
    sources = [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins*/*/src/**/*.py")]
    read = {
        name
        for path in sources
        if "testing" not in (*path.parts, path.stem)
        for name in re.findall(
            r"[\"'`(](MODELPLUG_[A-Z_]+[A-Z])\b", path.read_text(encoding="utf-8")
        )
    }

    assert set() == read - {"MODELPLUG_ENGINE_TOKEN"} - code_in("settings.md")


def test_every_vendor_variable_of_a_plugin_here_is_on_its_page_or_on_that_of_settings(
    vendor_variables: set[str],
) -> None:
    pages = [f"providers/{page.name}" for page in (REFERENCE / "providers").glob("*.md")]

    assert set() == vendor_variables.difference(*map(code_in, ["settings.md", *pages]))


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli, info_name="modelplug")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command


def test_every_command_and_option_is_on_the_command_line_page() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    sections = {
        match[1]: match[2]
        for match in re.finditer(r"^## modelplug (\S+)(.*?)(?=^## |\Z)", text, re.M | re.S)
    }
    everywhere = {"--debug", "--help", "-h", "--config", "--no-config", "--id"}

    assert sections.keys() == {name for name, _ in commands()}
    for name, command in commands():
        all_of_them = [command, *getattr(command, "commands", {}).values()]
        options = [p.opts for each in all_of_them for p in each.params if p.opts[0][0] == "-"]
        shown = set(re.findall(r"`(--?[a-z-]+)", sections[name]))

        assert [] == [names for names in options if not (shown | everywhere) & set(names)], name
        assert set() == shown - everywhere - {"-"} - set(chain.from_iterable(options)), name
