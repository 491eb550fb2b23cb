"""Each locked list of packages is what its plugin's locks.toml asks for and its manifest offers."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
HEAD = runpy.run_path(str(ROOT / "tools" / "lock.py"))["HEAD"]
SOURCES = sorted(ROOT.glob("plugins*/*/locks.toml"))
TABLES = [
    pytest.param(source, name, table, id=f"{source.parent.name} {name}")
    for source in SOURCES
    for name, table in tomllib.loads(source.read_text(encoding="utf-8")).items()
]


def module_of(source: Path) -> Path:
    """The folder of the plugin's module."""
    (module,) = (source.parent / "src").glob("modelplug_*")
    return module


@pytest.mark.parametrize(("source", "name", "table"), TABLES)
def test_a_list_was_written_from_its_table(source: Path, name: str, table: dict[str, Any]) -> None:
    text = (module_of(source) / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    requirements = re.split(r"\n(?=\S)", "\n".join(text.splitlines()[2:]))
    pinned = [requirement.split(maxsplit=1)[0] for requirement in requirements]

    assert HEAD.format(
        date=table["date"],
        source=source.name,
        name=name,
        requires=", ".join(table["requires"]),
        platforms=" and ".join(table["platforms"]),
        pythons=", ".join(table["python"]),
    ) == "".join(text.splitlines(keepends=True)[:2])
    assert [] == [each for each in requirements if "--hash=sha256:" not in each]
    loose = {f"{package}=={each['version']}" for package, each in table.get("loose", {}).items()}
    wanted = {re.sub(r"\[.*\]", "", each).lower() for each in table["requires"]}  # no extras
    assert wanted - loose <= {*pinned}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.parent.name)
def test_a_manifest_offers_each_list_to_those_it_is_for(source: Path) -> None:
    tables = tomllib.loads(source.read_text(encoding="utf-8"))
    manifest = tomllib.loads((module_of(source) / "modelplug.toml").read_text(encoding="utf-8"))
    offered = [
        each
        for group in ("deploy_local", "finetune")
        for plugin in manifest.get(group, {}).values()
        for each in plugin.get("environments", ())
    ]

    assert {f"locks/{name}.txt" for name in tables} == {each["lock"] for each in offered}
    for each in offered:
        table = tables[Path(each["lock"]).stem]
        assert (table["platforms"], table["python"]) == (each["platforms"], each["python"])
        loose = [package.partition("==")[0] for package in each.get("loose", ())]
        assert sorted(table.get("loose", {})) == sorted(loose)
