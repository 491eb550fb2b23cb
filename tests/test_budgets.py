"""
What a provider may cost in Python: 25 lines where it is OpenAI-compatible, else 200 for each
type that has a wire of its own.

A line counts unless it is blank, a comment, or inside a docstring (any text that stands alone);
manifests are data and count nothing. A type has a wire of its own if the plugin answers it with
a codec class of the plugin's. `llm` and `vlm` are two types, also where one class is for both.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from modelplug.plugins import installed
from modelplug.types import Endpoint, ModelType

ROOT = Path(__file__).parent.parent
COMPATIBLE = 25
OWN_WIRE = 200
PACKAGES = {
    file.parent.name.removeprefix("modelplug_"): file.parent
    for file in ROOT.glob("plugins*/*/src/*/modelplug.toml")
    if "[create_online." in file.read_text(encoding="utf-8")
}


def code_lines(source: str) -> int:
    """How many lines of *source* hold code."""
    texts = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(map(str.strip, source.splitlines()), start=1)
    return sum(bool(line) and line[0] != "#" and at not in texts for at, line in lines)


def own_types(source: str) -> list[str]:
    """The types of *source* that its own package speaks for."""
    provider = installed().provider(source)
    found = []
    for type_, model in provider.types.items():
        _, reached = provider.serving(source, model, type_)
        endpoint = Endpoint(source, model, reached.base_url)
        codec = installed().create_online(source, endpoint, ModelType(type_))
        if type(codec).__module__.partition(".")[0] == PACKAGES[source].name:
            found.append(type_)
    return found


def test_only_code_is_counted() -> None:
    source = '"""Text."""\n\n# why\nX = 1  # one\n"""What\n\nX is."""\ndef f():\n    """Text."""\n'

    assert 2 == code_lines(source)


@pytest.mark.parametrize("source", sorted(PACKAGES))
def test_a_provider_keeps_to_its_lines(source: str) -> None:
    files = PACKAGES[source].rglob("*.py")
    cost = sum(code_lines(file.read_text(encoding="utf-8")) for file in files)

    assert cost <= (OWN_WIRE * len(own_types(source)) or COMPATIBLE)


@pytest.mark.parametrize("source", ["deepseek", "kimi", "openai"])
def test_a_provider_on_openais_wire_has_none_of_its_own(source: str) -> None:
    assert [] == own_types(source)
