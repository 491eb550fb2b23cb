"""
Everything that is run on this workspace: `nox -s demo`, `nox -s tests`, and the rest.

One environment serves demo, tests and types: installing is most of the time that a session
takes. `nox -s NAME -- ARGS` hands ARGS to the tool.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PACKAGES = sorted(
    (path.parent for path in ROOT.glob("*/*/pyproject.toml")), key=lambda path: path.name
)
CORE = ROOT / "core"

nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_external_run = True
nox.needs_version = ">=2024.10"

TEST_TOOLS = [
    "hypothesis>=6.150",
    "openai>=2",
    "pytest>=9",
    "pytest-timeout>=2.4",
    "pytest-xdist>=3.8",
    "trustme>=1.2",
    "wsproto>=1.2,<2",
]
# One version, and before all else: anything that asks for torch is then content with it.
TORCH = "torch==2.13.0"
# What the engines and trainers run on that can share an environment; see plugins/*/locks.
ENGINES = [
    "FlagEmbedding>=1.4.2,<2",
    "datasets>=4.7,<6",
    "diffusers>=0.42,<0.43",
    "faster-whisper>=1.2,<2",
    "gguf",
    "onnx",
    "onnxruntime",
    "openvino",
    "peft>=0.21,<0.22",
    "pillow",
    "pyarrow",
    "sentence-transformers>=6.2,<7",
    "sherpa-onnx>=2,<3",
    "trl>=1.16,<2",
]
# A file stays in one process: its fixtures start engines.
PYTEST = ("python", "-m", "pytest", "--numprocesses=auto", "--dist=loadfile")
TYPE_TOOLS = ["mypy>=1.18", "types-PyYAML"]


def install_editable(session: nox.Session, packages: list[Path], *tools: str) -> None:
    """*packages*, editable, and *tools*; at once, so that pip solves once."""
    # Without a build environment for each package: those are most of the time otherwise.
    session.install("hatchling>=1.27", "editables")
    editable = (f"--editable={package}" for package in packages)
    session.install("--no-build-isolation", *editable, *tools)


def install_workspace(session: nox.Session, *tools: str) -> None:
    """Every package of the workspace, and *tools*."""
    install_editable(session, [CORE, *PACKAGES], *tools)


@nox.session
def demo(session: nox.Session) -> None:
    """Answer a question with real llama.cpp on weights that ship here."""
    wanted = ("openai", "local", "llama-cpp", "tiny")
    install_editable(session, [CORE, *(ROOT / "plugins" / name for name in wanted)])
    session.run("python", "docs/demo.py", *session.posargs)


def install_engines(session: nox.Session) -> None:
    """What real engines and trainers need; a few minutes."""
    session.install(TORCH)
    session.install(TORCH, *ENGINES)


@nox.session
def tests(session: nox.Session) -> None:
    """All suites."""
    install_engines(session)
    install_workspace(session, *TEST_TOOLS)
    session.run(*PYTEST, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, rules and format."""
    session.install("ruff>=0.14")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over every package and the files that are only there to be checked."""
    install_workspace(session, *TEST_TOOLS, *TYPE_TOOLS, "nox")
    marks = [mark for package in [CORE, *PACKAGES] for mark in package.glob("src/*/py.typed")]
    modules = sorted(mark.parent.name for mark in marks)
    session.run("mypy", *(f"--package={module}" for module in modules))
    session.run("mypy", "noxfile.py", "tools", "bench", "tests/typing")


@nox.session
def contract(session: nox.Session) -> None:
    """The suites of every plugin, the contract in them."""
    install_engines(session)
    install_workspace(session, *TEST_TOOLS)
    session.run(*PYTEST, "plugins", "plugins-contrib", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every wheel, install them, and run the plugins' suites where no tree is."""
    session.install("build", "hatchling")
    wheelhouse = Path(session.create_tmp()).resolve() / "wheels"
    shutil.rmtree(wheelhouse, ignore_errors=True)
    for package in [CORE, *PACKAGES]:
        session.run(
            *("python", "-m", "build", "--wheel", "--no-isolation", "--outdir"),
            *(str(wheelhouse), str(package)),
            silent=True,
        )
    install_engines(session)
    session.install(*TEST_TOOLS, *map(str, sorted(wheelhouse.glob("*.whl"))))
    outside = wheelhouse.parent / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    for package in PACKAGES:
        without_source = shutil.ignore_patterns("src")
        shutil.copytree(package, outside / package.name, ignore=without_source)
    shutil.copy(ROOT / "pyproject.toml", outside)
    with session.chdir(outside):
        session.run(*PYTEST, ".", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Install real engines whose packages exclude each other, vLLM among them, and call them."""
    install_workspace(session, *TEST_TOOLS, "onnx")  # a voice is made with it
    home = Path(session.create_tmp()).resolve() / "home"
    session.run(
        *("python", "-m", "pytest", *(session.posargs or ["tests/engines"])),
        env={"MODELPLUG_HOME": str(home)},
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Run every block of the README and the docs."""
    install_engines(session)
    install_workspace(session, *TEST_TOOLS)
    session.run(*PYTEST, "tests/test_docs.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Cost beside the bare HTTP client and the openai package, in one run."""
    install_workspace(session, "openai>=2")
    for script in session.posargs or ["startup", "calls", "plugins500", "config1000", "memory"]:
        session.run("python", f"bench/{script}.py")


@nox.session
def vendors(session: nox.Session) -> None:
    """The vendors' own SDKs make the requests that modelplug makes, and read the replies."""
    install_workspace(session, *TEST_TOOLS, "--requirement=tests/vendors/requirements.txt")
    # It asks for a PyJWT that zai-sdk cannot do with, and works with newer ones (2026-11).
    session.install("--no-deps", "sensenova==1.0.6")
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/vendors"]))


@nox.session
def known(session: nox.Session) -> None:
    """Write what is derived from the plugins: names, dependencies, the providers' pages."""
    session.install(f"--editable={CORE}")
    session.run("python", "tools/known.py")
    session.run("python", "tools/provider_docs.py")
    session.run("python", "tools/config_docs.py")
