"""A new plugin is complete: installed as it was written, it keeps the contract."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from installing import run_pytest, write_dist_info

from modelplug.errors import ConfigError
from modelplug.scaffold import create

COMMON = {
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "src/modelplug_acme_ai/__init__.py",
    "src/modelplug_acme_ai/modelplug.toml",
    "src/modelplug_acme_ai/py.typed",
    "tests/test_acme_ai.py",
}
REPLIES = {
    "tests/replies/chat.json",
    "tests/replies/chat.sse",
    "tests/replies/error-401.json",
    "tests/replies/error-429-balance.json",
    "tests/replies/error-429.json",
    "tests/replies/error-500.json",
    "tests/replies/error-502-html.html",
    "tests/replies/expected.toml",
}


def install(project: Path, site: Path) -> None:
    """Put a generated project on *site* as its pyproject.toml says."""
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    for package in metadata["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(project / package, site / Path(package).name)
    lines = []
    for group, points in metadata["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    write_dist_info(site, metadata["project"]["name"], "\n".join([*lines, ""]))


@pytest.mark.parametrize(("wire", "files"), [("openai", COMMON), ("own", COMMON | REPLIES)])
def test_every_file_is_written_and_told(wire: str, files: set[str], tmp_path: Path) -> None:
    written = create("acme_ai", wire, tmp_path)

    project = tmp_path / "modelplug-acme-ai"
    assert files == {str(path.relative_to(project)) for path in written}
    assert set(written) == {path for path in project.rglob("*") if path.is_file()}


@pytest.mark.parametrize("wire", ["openai", "own"])
def test_nothing_of_a_template_is_left_in_it(wire: str, tmp_path: Path) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in create("acme", wire, tmp_path)}

    assert [] == [path for path, text in texts.items() if "$" in f"{path.name}{text}"]


@pytest.mark.parametrize("wire", ["openai", "own"])
def test_a_new_plugin_keeps_the_contract_untouched(wire: str, tmp_path: Path) -> None:
    create("acme_ai", wire, tmp_path)
    project, site = tmp_path / "modelplug-acme-ai", tmp_path / "site"
    install(project, site)

    status, failed, output = run_pytest(project / "tests", [site])

    assert ({"TestAcmeAi": set()}, 0) == (failed, status), output


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Acme-AI", "lower-case words joined by underscores); did you mean 'acme_ai'?"),
        ("acme ai", "did you mean 'acme_ai'?"),
        ("", "'' is not a plugin name"),
        ("9lives", "'9lives' is not a plugin name"),
        ("../evil", "did you mean 'evil'?"),
        ("acme\n", "did you mean 'acme'?"),
        ("local", "the name 'local' is taken: it means models on this machine"),
        ("openai", "the name 'openai' is taken by modelplug-openai; choose another"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(
    name: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        create(name, "openai", tmp_path)

    assert told in str(caught.value)
    assert [] == list(tmp_path.iterdir())


def test_an_unknown_wire_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'open' is not a wire") as caught:
        create("acme", "open", tmp_path)

    assert "did you mean" in str(caught.value)
    assert [] == list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "modelplug-acme").mkdir()

    with pytest.raises(ConfigError) as caught:
        create("acme", "openai", tmp_path)

    assert "exists already and nothing is overwritten" in str(caught.value)
    assert [] == list((tmp_path / "modelplug-acme").iterdir())
