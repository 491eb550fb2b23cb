"""How modelplug finds and calls the formatters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import modelplug_formats
from modelplug.errors import FormatError
from modelplug.plugins import installed
from modelplug_formats import JsonFormatter, TypedFormatter, YamlFormatter


@pytest.mark.parametrize(
    ("name", "formatter"),
    [("json", JsonFormatter), ("yaml", YamlFormatter), ("typed", TypedFormatter)],
)
def test_each_name_loads_its_class(name: str, formatter: type) -> None:
    assert formatter is installed().load("format", name)


def test_the_manifest_can_be_read() -> None:
    folder = Path(modelplug_formats.__file__).parent

    assert folder == installed().manifest("format", "json").folder


def test_formatters_chain() -> None:
    chained = JsonFormatter("[:]{a}") | JsonFormatter("[0]") | TypedFormatter(dict[str, int])

    assert {"a": 1} == chained('[{"a": 1, "b": 2}]')


def test_a_chain_stops_at_the_first_error() -> None:
    with pytest.raises(FormatError, match="holds no JSON"):
        (JsonFormatter() | JsonFormatter("[0]"))("sorry")


def test_a_picked_null_is_given_as_none() -> None:
    assert JsonFormatter("[a]")('{"a": null}') is None


def test_importing_the_module_is_light() -> None:
    code = (
        "import sys, modelplug_formats as m; m.JsonFormatter('[0]')('[1]');"
        "print([n for n in ('yaml', 'json_repair', 'cattrs', 'httpx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter and text

    assert "[]\n" == done.stdout
