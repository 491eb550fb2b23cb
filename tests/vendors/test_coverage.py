"""README.md says of each provider and type which SDK is beside it, or why none is."""

from __future__ import annotations

import importlib
import re

from common import HERE, VendorSuite

from modelplug.plugins import installed
from modelplug.types import ModelType

README = (HERE / "README.md").read_text(encoding="utf-8")
TYPES = [type_.value for type_ in ModelType]
NONE = "none"


def table() -> dict[tuple[str, str], set[str]]:
    """The SDKs in README.md's table, by (provider, type)."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if line.startswith("|")
    ]
    head, _, *body = rows
    assert ["", *TYPES] == head
    return {
        (row[0], type_): set(cell.split(", "))
        for row in body
        for type_, cell in zip(TYPES, row[1:], strict=True)
        if cell
    }


def suites() -> list[type[VendorSuite]]:
    """Those of all files here."""
    modules = [importlib.import_module(path.stem) for path in HERE.glob("test_*.py")]
    return [
        value
        for module in modules
        for name, value in vars(module).items()
        if name.startswith("Test") and issubclass(value, VendorSuite)
    ]


def test_the_table_has_each_type_of_each_provider_and_no_more() -> None:
    offered = {
        (name, type_)
        for name in installed().names("create_online")
        for type_ in installed().provider(name).types
    }

    assert offered == set(table())


def test_an_sdk_in_the_table_makes_that_call() -> None:
    made: dict[tuple[str, str], set[str]] = {}
    for suite in suites():
        for case in suite.cases:
            made.setdefault((suite.source, case.type), set()).add(suite.package)

    assert made == {pair: sdks for pair, sdks in table().items() if sdks != {NONE}}


def test_where_no_sdk_is_there_is_a_reason() -> None:
    reasons = set(re.findall(r"^- (\w+) (\w+): \S", README, re.MULTILINE))

    assert {pair for pair, sdks in table().items() if sdks == {NONE}} == reasons


def test_each_sdk_is_installed_as_pinned() -> None:
    pinned = set(re.findall(r"^([\w-]+)==", (HERE / "requirements.txt").read_text(), re.MULTILINE))
    named = {suite.package for suite in suites()}

    assert named - pinned == {"sensenova"}, "installed by noxfile.py, without what it asks for"
