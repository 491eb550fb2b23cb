"""Who may import whom, and what an import costs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from core_helpers import Site, python

import modelplug

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "modelplug"

HTTP = {"httpcore", "httpx", "h11", "anyio"}
HEAVY = HTTP | {"cattrs", "yaml", "asyncio", "ssl", "modelplug.transport"}

# What a module of the core may import of the core, by its first name below `modelplug`.
# `types` stands for the values that everybody shares. An arrow points down, never up.
VALUES = {"errors", "retry", "media", "rotation", "types"}
WIRE = VALUES | {"structure", "sse", "wire"}
READ = WIRE | {
    "hookspecs",
    "catalog",
    "plugins",
    "claims",
    "resolving",
    "known",
    "settings",
    "runtime",
}
CALLS = READ | {"chat", "schema", "tasks", "formatters", "openai_wire"}
DOORS = CALLS | {"models", "online", "local", "auto", "transport"}
MAY_IMPORT = {
    "_version": set(),
    "errors": set(),
    "known": set(),
    "rotation": set(),
    "retry": {"errors"},
    "sse": {"errors"},
    "media": {"errors"},
    "structure": {"errors"},
    "types": VALUES,
    "wire": WIRE,
    "openai_wire": WIRE | {"hookspecs", "openai_wire"},
    "hookspecs": {"types", "wire"},
    "runtime": VALUES,
    "settings": VALUES,
    "families": VALUES,
    "catalog": VALUES | {"families", "structure"},
    "plugins": VALUES | {"families", "claims", "hookspecs", "catalog", "known", "runtime", "wire"},
    "claims": VALUES | {"catalog", "plugins", "settings"},
    "resolving": VALUES | {"plugins"},
    "config": VALUES | {"config", "openai_wire", "schema", "settings"},
    "chat": VALUES,
    "schema": VALUES | {"structure"},
    "tasks": WIRE | {"chat", "schema"},
    "formatters": {"plugins"},
    "proxies": set(),
    "tapes": WIRE | {"proxies"},
    "local": CALLS | {"local", "models", "transport"},
    "transport": WIRE | {"_version", "proxies", "tapes", "transport"},
}
TOP = {
    "models",
    "online",
    "online_tuning",
    "local",
    "auto",
    "fallbacks",
    "__init__",
    "testing",
    "scaffold",
}

# What a plugin may import of the core. The runtime and the command line are nearer to it.
PUBLIC = {
    "", "types", "errors", "media", "structure", "sse", "wire", "openai_wire", "hookspecs",
    "formatters", "runtime", "testing",
}  # fmt: skip
MORE = {
    # It asks trainers, and trains for the objects that users have.
    "modelplug_training": {"plugins", "catalog", "local"},
    # It finds weights that plugins ship, and settings by the same order of places.
    "modelplug_local": {"settings", "plugins", "catalog", "families", "_version"},
    "modelplug_cli": {
        "models",
        "plugins",
        "catalog",
        "known",
        "search",
        "settings",
        "auto",
        "config",
        "local",
        "scaffold",
        "_version",
    },
}
SHARED_PLUGINS = {"modelplug_local", "modelplug_training"}  # what engines, trainers share


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each module that the file imports, and whether only for annotations."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for each in node.body
        for inner in ast.walk(each)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in typing_only
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # inside a package that a runner takes along, which has no full name
                assert "runner" in path.parts, f"{path}: a relative import"
                continue
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names if node.module == "modelplug" else [str(node.module)]:
                yield name, id(node) in typing_only


def below(name: str, package: str = "modelplug") -> str | None:
    """`wire` of `modelplug.wire`; "" of the package itself; None of another one."""
    top, _, rest = name.partition(".")
    if top != package:
        return None
    first = rest.partition(".")[0]
    is_module = (CORE / first).is_dir() or (CORE / f"{first}.py").is_file()
    return first if first and is_module else ""


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "templates" not in path.parts)


def modules_of_core() -> list[str]:
    found = {path.relative_to(CORE).parts[0].removesuffix(".py") for path in sources(CORE)}
    return sorted(found)


@pytest.mark.parametrize("name", [name for name in modules_of_core() if name not in TOP])
def test_a_module_of_the_core_imports_only_what_lies_below_it(name: str) -> None:
    paths = sources(CORE / name) or [CORE / f"{name}.py"]

    used = {
        (path.name, below(module))
        for path in paths
        for module, typing_only in imports(path)
        if below(module) is not None and not typing_only
    }

    allowed = MAY_IMPORT.get(name, DOORS)
    assert [] == sorted((file, str(module)) for file, module in used if module not in allowed)


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_no_module_of_the_core_imports_a_plugin_and_only_transport_an_http_client(
    path: Path,
) -> None:
    tops = {module.partition(".")[0] for module, _ in imports(path)}
    http = set() if path.relative_to(CORE).parts[0] in ("transport", "testing") else HTTP & tops

    assert set() == http
    assert [] == [top for top in tops if top.startswith("modelplug_")]


def plugin_sources() -> list[Path]:
    return [
        path
        for folder in ("plugins", "plugins-contrib")
        for package in sorted((ROOT / folder).glob("*/src/modelplug_*"))
        for path in sources(package)
    ]


@pytest.mark.parametrize("path", plugin_sources(), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_plugin_imports_the_cores_public_modules_and_no_other_plugin(path: Path) -> None:
    own = next(part for part in path.parts if part.startswith("modelplug_"))
    public = PUBLIC | MORE.get(own, set())

    wrong = [
        module
        for module, _ in imports(path)
        if below(module) not in {None, *public}
        or (
            module.startswith("modelplug_")
            and module.partition(".")[0] not in {own, *SHARED_PLUGINS}
        )
        or module.partition(".")[0] in HTTP
    ]

    assert [] == wrong


def test_importing_modelplug_loads_nothing_heavy_and_no_plugin() -> None:
    told = python(
        """
        import sys, json
        before = set(sys.modules)
        import modelplug
        print(json.dumps(sorted(set(sys.modules) - before)))
        print(len(sys.modules))
        """
    )

    loaded, count = told.stdout.splitlines()
    assert "" == told.stderr
    assert set() == HEAVY & set(json.loads(loaded))
    assert [] == [name for name in json.loads(loaded) if name.startswith("modelplug_")]
    assert int(count) <= 250


def test_making_a_model_loads_its_plugin_alone_and_no_http_client(site: Site) -> None:
    site.plugin("acme")
    site.plugin("other")

    told = python(
        """
        import sys, json
        import modelplug
        modelplug.OnlineModule(source="acme", api_key="sk-x")
        print(json.dumps(sorted(sys.modules)))
        """
    )

    loaded = set(json.loads(told.stdout))
    assert set() == (HTTP | {"modelplug.transport", "yaml"}) & loaded
    assert {"site_acme"} == {name for name in loaded if name.startswith("site_")}


def test_a_call_does_not_need_httpx(site: Site) -> None:
    site.plugin("acme")

    told = python(
        """
        import sys, threading, socket
        import modelplug
        listener = socket.create_server(("127.0.0.1", 0))
        def serve():
            connection, _ = listener.accept()
            connection.recv(65536)
            body = b'{"choices":[{"message":{"content":"4"}}]}'
            head = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body)
            connection.sendall(head + body)
        threading.Thread(target=serve).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        print(modelplug.OnlineModule(source="acme", url=url)("2+2?"))
        print(sorted({"httpx", "cattrs", "yaml"} & set(sys.modules)))
        """
    )

    assert "" == told.stderr
    assert ["4", "['cattrs']"] == told.stdout.splitlines()


def test_every_public_name_is_there_and_listed() -> None:
    assert sorted(modelplug.__all__) == modelplug.__all__
    assert modelplug.__all__ == dir(modelplug)
    assert {*modelplug._HOMES, "__version__"} == set(modelplug.__all__)
    for name, home in modelplug._HOMES.items():
        found = getattr(modelplug, name)
        assert found is getattr(import_module(f"modelplug.{home}"), name)


def test_a_public_name_for_type_checkers_comes_from_its_home() -> None:
    tree = ast.parse((CORE / "__init__.py").read_text(encoding="utf-8"))
    told = {
        alias.name: str(node.module).removeprefix("modelplug.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert modelplug._HOMES == told


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError) as caught:
        modelplug.Nope  # noqa: B018 - the access is the point

    assert "module 'modelplug' has no attribute 'Nope'" == str(caught.value)


@pytest.mark.parametrize(
    "module", "modelplug.types modelplug.openai_wire modelplug.transport".split()
)
def test_all_of_a_module_agrees_with_what_is_there(module: str) -> None:
    found = import_module(module)

    assert [] == [name for name in found.__all__ if not hasattr(found, name)]
    assert len(set(found.__all__)) == len(found.__all__)


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_a_module_says_what_it_is_for_and_is_not_too_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert not text or ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 400


def test_nothing_reads_the_environment_at_import() -> None:
    told = python(
        """
        import os, sys
        reads = []
        class Env(type(os.environ)):
            def __getitem__(self, key):
                reads.append(key)
                return super().__getitem__(key)
        os.environ.__class__ = Env
        import modelplug, modelplug.auto.dynamic, modelplug.config, modelplug.online
        import modelplug.plugins, modelplug.settings
        print([key for key in reads if key.startswith(("MODELPLUG", "LAZYLLM", "OPENAI", "HTTP"))])
        """
    )

    assert ("[]\n", "") == (told.stdout, told.stderr)
