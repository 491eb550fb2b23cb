"""Every distribution of the tree has what one must have, and the core knows them all."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modelplug import plugins
from modelplug.catalog import TABLES, read_manifest
from modelplug.known import DISTRIBUTIONS

ROOT = Path(__file__).parent.parent
FOLDERS = sorted(path.parent for path in ROOT.glob("plugins*/*/pyproject.toml"))
PLUGINS = [folder for folder in FOLDERS if folder.name != "all"]

each_plugin = pytest.mark.parametrize("folder", PLUGINS, ids=[path.name for path in PLUGINS])


def project(folder: Path) -> dict[str, Any]:
    """`[project]` of *folder*'s pyproject.toml."""
    read: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(read["project"])


def module_of(folder: Path) -> Path:
    """The folder of the plugin's module."""
    return folder / "src" / f"modelplug_{folder.name.replace('-', '_')}"


def test_every_folder_of_plugins_is_a_distribution() -> None:
    folders = {
        path
        for root in (ROOT / "plugins", ROOT / "plugins-contrib")
        for path in root.glob("*")
        if path.is_dir() and not path.name.startswith((".", "_"))
    }

    assert set(FOLDERS) == folders


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_lists_every_package_and_no_other(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[([\w/-]+)\]\(\1\) \| `([\w-]+)` \|", text, re.M)
    first_party = [folder for folder in FOLDERS if folder.parent.name == "plugins"]
    community = [folder.name for folder in FOLDERS if folder.parent.name == "plugins-contrib"]
    built = [
        ("core", "modelplug"),
        *((f"plugins/{f.name}", f"modelplug-{f.name}") for f in first_party),
    ]

    assert sorted(built) == sorted(listed)
    assert community == sorted(re.findall(r"\[([\w-]+)\]\(plugins-contrib/\1\)", text))


@each_plugin
def test_a_plugin_has_its_files(folder: Path) -> None:
    module = module_of(folder)
    wanted = [
        folder / "README.md",
        folder / "tests",
        module / "__init__.py",
        module / "modelplug.toml",
        module / "py.typed",
    ]

    assert [] == [str(path.relative_to(ROOT)) for path in wanted if not path.exists()]


@pytest.mark.parametrize("folder", FOLDERS, ids=[path.name for path in FOLDERS])
def test_a_plugin_says_who_it_is(folder: Path) -> None:
    said = project(folder)

    assert f"modelplug-{folder.name}" == said["name"]
    assert "Apache-2.0" == said["license"]
    assert ">=3.11" == said["requires-python"]
    assert said["description"]
    assert said["version"] == distribution(said["name"]).version


@each_plugin
def test_a_plugin_needs_this_core_and_no_other_plugin(folder: Path) -> None:
    needed = project(folder)["dependencies"]
    siblings = [item for item in needed if item.startswith("modelplug-")]

    assert "modelplug>=0.1,<0.2" == needed[0]
    assert set(siblings) <= {"modelplug-local>=0.1,<0.2", "modelplug-training>=0.1,<0.2"}


@each_plugin
def test_a_plugin_has_a_manifest_that_the_core_reads(folder: Path) -> None:
    manifest = read_manifest(module_of(folder).name)
    entries = project(folder).get("entry-points", {})

    for group in TABLES:
        declared = set(entries.get(plugins.PREFIX + group, {}))
        assert declared == set(manifest.tables.get(group, {}))
        for name in declared:
            assert manifest.table(group, name)


@each_plugin
def test_the_entry_points_of_a_plugin_load(folder: Path) -> None:
    for group, entries in project(folder).get("entry-points", {}).items():
        assert group.startswith(plugins.PREFIX)
        for name, value in entries.items():
            installed = plugins.installed().find(group.removeprefix(plugins.PREFIX), name)
            assert value == installed.value
            assert EntryPoint(name, value, group).load() is not None


def test_the_bundle_needs_every_plugin() -> None:
    names = {project(folder)["name"] for folder in PLUGINS if folder.parent.name == "plugins"}
    needed = {item.split(">")[0] for item in project(ROOT / "plugins/all")["dependencies"]}

    assert names == needed


def generator() -> ModuleType:
    """tools/known.py, which is no package."""
    spec = importlib.util.spec_from_file_location("known_tool", ROOT / "tools/known.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_core_knows_who_provides_what() -> None:
    assert generator().table() == DISTRIBUTIONS


@pytest.mark.parametrize("tool", ["known", "provider_docs", "config_docs"])
def test_what_is_generated_is_as_it_would_be_written(tool: str) -> None:
    told = subprocess.run(
        [sys.executable, str(ROOT / f"tools/{tool}.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == told.stdout + told.stderr
    assert 0 == told.returncode


def test_a_new_plugin_comes_into_the_table(tmp_path: Path) -> None:
    folder = tmp_path / "plugins/acme"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "modelplug-acme"\n'
        '[project.entry-points."modelplug.create_online"]\nacme = "modelplug_acme:plugin"\n'
        '[project.entry-points."console_scripts"]\nacme = "modelplug_acme:main"\n'
    )

    assert {"create_online": {"acme": "modelplug-acme"}} == generator().table(tmp_path)
