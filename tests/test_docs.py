"""
Every block of every page is executed, in the page's order, in a folder of its own.

`python` blocks run in one module for the whole page; `text` after one is what it printed
(`...` stands for anything); a block with a `title` is written to that file; lines of `sh`
blocks are run, or checked by the table `COMMANDS`; `toml` is parsed as a manifest or a
pyproject. A block of another kind fails the page, so none is passed over.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from attrs import define, field, frozen

from modelplug import plugins
from modelplug.catalog import CONTRACT, TABLES, Manifest
from modelplug.settings import variable_of
from modelplug.testing import FaultServer
from modelplug_local.environments.inventory import kinds_of
from modelplug_local.weights.testing_hub import Hub

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for pattern in "*.md docs/**/*.md core/*.md plugins*/README.md plugins*/*/README.md".split()
    for path in ROOT.glob(pattern)
)
_FENCE = re.compile(
    r"^```(?P<kind>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.M | re.S
)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
MODULE = "page"


@frozen
class Block:
    """One fenced block: its language, the file it is, its text and its first line's number."""

    kind: str
    title: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of *page*, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["kind"], m["title"] or "", m["text"], text.count("\n", 0, m.start()) + 2)
        for m in _FENCE.finditer(text)
    ]


@define
class Run:
    """A page being executed in `folder`."""

    page: Path
    folder: Path
    module: types.ModuleType = field(factory=lambda: types.ModuleType(MODULE))
    printed: str = ""

    def block(self, block: Block) -> None:
        """Execute one block."""
        if block.kind == "text":
            self.check_printed(block)
        elif block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            self.python(block)
        if block.kind == "sh":
            self.printed = "".join(map(self.pipeline, _pipelines(block.text)))
        if block.kind == "toml":
            check_toml(block.text)

    def python(self, block: Block) -> None:
        """Run a python block; tracebacks name the page and the line in it."""
        code = compile("\n" * (block.line - 1) + block.text, str(self.page), "exec")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, self.module.__dict__)  # noqa: S102 - the project's own pages
        self.printed = out.getvalue()

    def check_printed(self, block: Block) -> None:
        """What the block before printed is *block*."""
        said = self.printed.rstrip() + "\n"
        same = doctest.OutputChecker().check_output(block.text, said, doctest.ELLIPSIS)
        assert same, f"{self.page}:{block.line}: printed\n{said}\nand not\n{block.text}"

    def pipeline(self, pipeline: Sequence[Sequence[str]]) -> str:
        """Run or check commands, each with what the one before printed; what the last printed."""
        printed = ""
        for words in pipeline:
            assert words[0] in COMMANDS, f"{self.page}: no rule for the command {words}"
            printed = COMMANDS[words[0]](list(words), self.folder, printed) or ""
        return printed


def _pipelines(text: str) -> Iterator[list[list[str]]]:
    """The commands of a shell block, those between `|` together."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&")
        lexer.whitespace_split = True
        pipeline: list[list[str]] = [[]]
        for word in lexer:
            if word == "&&":
                yield pipeline
                pipeline = [[]]
            elif word == "|":
                pipeline.append([])
            else:
                pipeline[-1].append(word)
        if pipeline != [[]]:
            yield pipeline


# What each command of a shell block is checked by.


Command = Callable[[list[str], Path, str], str | None]


def _run(words: list[str], folder: Path, given: str = "") -> str:
    told = subprocess.run(  # noqa: S603 - the project's own pages
        words, cwd=folder, input=given, capture_output=True, text=True, check=False, timeout=300
    )
    assert 0 == told.returncode, (
        f"{words} ended with {told.returncode}:\n{told.stdout}{told.stderr}"
    )
    return told.stdout


def _module(name: str) -> Command:
    return lambda words, folder, given: _run(
        [sys.executable, "-m", name, *words[1:]], folder, given
    )


def _pip(words: list[str], folder: Path, _: str = "") -> None:
    """A clone's paths exist, names are those of the tree; `.` is really installed, beside."""
    assert "install" == words[1]
    for word in words[2:]:
        if word == ".":
            site = folder / "site"
            options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
            _run(
                [sys.executable, "-m", "pip", "install", *options, "--target", str(site), "."],
                folder,
            )
            sys.path.insert(0, str(site))
            os.environ["PYTHONPATH"] = str(site)
            plugins.forget()
        elif word.startswith("./"):
            assert (ROOT / word / "pyproject.toml").is_file(), f"there is no {word}"
        elif not word.startswith("-"):
            name, _, extra = word.removesuffix("]").partition("[")
            assert name in {"nox", "pytest", *distributions()}, f"nothing is called {word}"
            assert not extra or extra in distributions()[name], f"{name} has no extra {extra}"


def _nox(words: list[str], folder: Path, _: str) -> None:
    sessions = re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text("utf-8"), re.M)
    for name in [word for word in words[1:] if not word.startswith("-")]:
        assert re.sub(r"\(.*", "", name) in sessions, f"noxfile.py has no session {name}"


def _python(words: list[str], folder: Path, given: str) -> str:
    if words[1:3] == ["-m", "pip"]:
        _pip(words[2:], folder)
        return ""
    assert (ROOT / words[1]).is_file(), f"there is no {words[1]}"
    return _run([sys.executable, str(ROOT / words[1]), *words[2:]], folder, given)


def _export(words: list[str], folder: Path, _: str) -> None:
    name, _, value = words[1].partition("=")
    settings = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert f"`{name}`" in settings, f"settings.md does not tell what {name} is"
    if not value.endswith("..."):  # a key that is only hinted at stays the loopback server's
        os.environ[name] = value.replace("$PWD", str(folder))


def _modelplug(words: list[str], folder: Path, given: str) -> str:
    if words[1:3] == ["engine", "install"]:  # gigabytes: done by `nox -s engines`
        assert kinds_of(words[3])
        return ""
    return _module("modelplug_cli")(words, folder, given) or ""


def _git(words: list[str], folder: Path, _: str) -> str:
    assert words[1] in ("clone", "log")
    return "Name the model in the error\n"


COMMANDS: dict[str, Command] = {
    "echo": _run,
    "export": _export,
    "git": _git,
    "modelplug": _modelplug,
    "nox": _nox,
    "pip": _pip,
    "printf": _run,
    "pytest": _module("pytest"),
    "python": _python,
}


def distributions() -> dict[str, set[str]]:
    """The names of what this tree builds, each with those of its extras."""
    found = [ROOT / "core/pyproject.toml", *ROOT.glob("plugins*/*/pyproject.toml")]
    projects = [tomllib.loads(path.read_text("utf-8"))["project"] for path in found]
    return {each["name"]: set(each.get("optional-dependencies", ())) for each in projects}


def check_toml(text: str) -> None:
    """*text* is a manifest that the catalog reads, or a pyproject with groups that exist."""
    data = tomllib.loads(text)
    if "project" in data:
        groups = {*plugins.HOOKS, plugins.WRAPPERS, "weights", "runtime", "commands"}
        for group in data["project"].get("entry-points", {}):
            assert group.removeprefix(plugins.PREFIX) in groups
        return
    assert data, "an empty manifest"
    assert data.pop("contract", CONTRACT) <= CONTRACT
    for group, tables in data.items():
        assert group in TABLES
        for name in tables:
            Manifest("page", Path(), data).table(group, name)


def named_sources(page: Path) -> list[str]:
    """The installed providers that *page* calls by name; one that gives a key calls none."""
    text = "".join(block.text for block in blocks_of(page) if block.kind == "python")
    if "api_key=" in text:
        return []
    installed = plugins.installed().names("create_online")
    return [source for source in installed if f'source="{source}"' in text and source != "openai"]


@pytest.fixture
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """The page of this test, its folder the working directory, all it changes put back."""
    folder = tmp_path / "page"
    folder.mkdir()
    # Files that pages speak of.
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "city.json").write_text('{"type": "object"}')
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before, modules = dict(os.environ), set(sys.modules)
    run = Run(request.param, folder)
    monkeypatch.setitem(sys.modules, MODULE, run.module)
    yield run
    run.module.__dict__.clear()  # engines end with the last object that shares them
    for name in set(sys.modules) - modules:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Both hubs on loopback, with models of the catalogue that are the tiny ones in truth."""
    tiny = ROOT / "plugins/tiny/src/modelplug_tiny/weights"
    chat = (tiny / "tiny.q8_0.gguf").read_bytes()
    folder = tiny / "tiny-embed"
    vectors = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    repositories = {
        "Qwen/Qwen2-1.5B-Instruct-GGUF": {"m-q4_k_m.gguf": chat, "m-q8_0.gguf": chat},
        "AI-ModelScope/bge-small-zh-v1.5": vectors,
        "BAAI/bge-small-zh-v1.5": vectors,
    }
    with Hub(repositories) as hub:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MODELPLUG_MODEL_CACHE_DIR", str(tmp_path / "models"))
        yield hub


@pytest.mark.parametrize(
    "run", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES], indirect=True
)
def test_every_block_of_the_page_does_what_it_says(
    run: Run, provider: FaultServer, hub: Hub, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in named_sources(run.page):
        monkeypatch.setenv(f"MODELPLUG_{variable_of(source, 'base_url')}", provider.url)
        monkeypatch.setenv(f"MODELPLUG_{variable_of(source, 'api_key')}", key)
    for block in blocks_of(run.page):
        known = ("python", "sh", "text", "toml", "yaml")
        assert block.kind in known, f"{block} has no known language"
        run.block(block)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_file_that_a_page_writes_is_installed_or_run_by_it(page: Path) -> None:
    blocks = blocks_of(page)
    left = [
        block.title
        for at, block in enumerate(blocks)
        if block.title
        and not any(
            after.kind == "sh" and ("pip install ." in after.text or block.title in after.text)
            for after in blocks[at:]
        )
    ]

    assert [] == left


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_fence_is_closed_and_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text.count("```") == 2 * len(blocks_of(page))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [match[1] for match in _LINK.finditer(text) if match[1]]

    assert [] == [target for target in targets if not (page.parent / target).exists()]


def test_the_chinese_readme_has_the_same_headings_and_the_same_blocks() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh.md"

    assert _heading_levels(english) == _heading_levels(chinese)
    assert [(b.kind, b.text) for b in blocks_of(english)] == [
        (b.kind, b.text) for b in blocks_of(chinese)
    ]


def _heading_levels(page: Path) -> list[int]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [len(mark) for mark in re.findall(r"^(#+) ", text, re.M)]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    linked = {(ROOT / "docs" / match[1]).resolve() for match in _LINK.finditer(index)}
    pages = set((ROOT / "docs").glob("*/*.md"))

    assert set() == pages - linked
