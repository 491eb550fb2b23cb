"""Environments: made from a lock, used unasked, told when stale, removed."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from environment_kit import MANIFEST, Acme, make_acme, make_wheel, use

from modelplug import plugins
from modelplug.errors import ConfigError, EngineError, PluginNotFound
from modelplug_local import runtime
from modelplug_local.environments.build import uv_settings
from modelplug_local.environments.install import install, remove, status, statuses, users_of
from modelplug_local.environments.inventory import folder_of, installed, recipes
from modelplug_local.testing import DEADLINE, Family

INSTALLER = [sys.executable, str(Path(__file__).with_name("installer.py"))]
PINS = [("acme-core", "1.2"), ("acme-helper", "0.5")]


@frozen
class Made:
    """An environment that was made once, for the tests that only look at it."""

    acme: Acme
    home: Path
    told: list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("acme")
    acme, told = make_acme(folder, PINS), []
    with pytest.MonkeyPatch.context() as patch:
        use(acme, folder / "home", patch)
        install("acme", tell=told.append)
    yield Made(acme, folder / "home", told)
    plugins.forget()


@pytest.fixture
def look(made: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """`made`, with this process set up to see it."""
    use(made.acme, made.home, monkeypatch)
    return made


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Acme:
    """The plugin with nothing installed yet."""
    acme = make_acme(tmp_path, PINS)
    use(acme, tmp_path / "home", monkeypatch)
    return acme


def test_an_environment_has_what_the_list_names_and_records_it(look: Made) -> None:
    here = installed("engine", "acme")

    assert here is not None
    assert (sys.version.split()[0], "cpu") == (here.version, here.device)
    versions = {name: package.version for name, package in here.packages.items()}
    assert dict(PINS).items() <= versions.items()
    assert all(package.locked for package in here.packages.values())
    assert recipes("engine", "acme")[0].digest == here.digest
    asked = [here.python, "-c", "import acme_core; print(acme_core.version)"]
    assert "1.2\n" == subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def test_progress_is_told_step_by_step(look: Made) -> None:
    first, *rest = look.told

    assert re.match(r"making .+ with (pip|uv); log: .+", first)
    assert "importing acme_core" == rest[-1]


def test_an_engine_runs_in_its_environment_without_being_asked_to(look: Made) -> None:
    here = installed("engine", "acme")

    assert here is not None
    assert here.python == runtime.interpreter("acme", plugins.installed().engine("acme"))


def test_an_interpreter_that_is_given_wins(look: Made) -> None:
    traits = plugins.installed().engine("acme")

    assert sys.executable == runtime.interpreter("acme", traits, sys.executable)
    assert runtime.interpreter("acme", traits, "python3").endswith("/python3")
    with pytest.raises(ConfigError) as caught:
        runtime.interpreter("acme", traits, "/no/such/python")
    assert str(caught.value).startswith("python='/no/such/python' is no program that can be run; ")


def test_an_environment_that_is_up_to_date_is_left_as_it_is(look: Made) -> None:
    before = installed("engine", "acme")

    assert [(before, False)] == install("acme")


def test_a_list_that_changed_is_told_and_what_is_there_goes_on_serving(
    look: Made, caplog: pytest.LogCaptureFixture
) -> None:
    lock = look.acme.package / "lock.txt"
    before = lock.read_text()
    lock.write_text(before + "# newer\n")
    with caplog.at_level(logging.WARNING, "modelplug"):
        python = runtime.interpreter("acme", plugins.installed().engine("acme"))

    assert python == getattr(installed("engine", "acme"), "python", None)
    assert "acme was made from another list of packages" in caplog.text
    assert "modelplug engine install acme" in caplog.text
    assert "stale" == status("engine", "acme").state
    lock.write_text(before)
    assert "ok" == status("engine", "acme", check=True).state


def test_packages_that_were_changed_afterwards_are_found(look: Made) -> None:
    here = installed("engine", "acme")
    assert here is not None
    (extra,) = (here.path / "lib").glob("python*/site-packages")
    (extra / "stray-9.dist-info").mkdir()
    (extra / "stray-9.dist-info/METADATA").write_text("Name: stray\nVersion: 9\n")

    found = status("engine", "acme", check=True)
    assert ("broken", "packages were changed after it was made: stray") == (found.state, found.why)
    (extra / "stray-9.dist-info/METADATA").unlink()
    (extra / "stray-9.dist-info").rmdir()


def test_a_module_that_no_longer_imports_is_found(look: Made) -> None:
    here = installed("engine", "acme")
    assert here is not None
    (module,) = (here.path / "lib").glob("python*/site-packages/acme_core.py")
    before = module.read_text()
    module.write_text("import numbers_of_acme\n")

    found = status("engine", "acme", check=True)
    module.write_text(before)
    assert "broken" == found.state
    assert found.why.endswith("No module named 'numbers_of_acme'")


def test_an_environment_whose_python_has_gone_is_told_with_the_mend(look: Made) -> None:
    here = installed("engine", "acme")
    assert here is not None
    link = Path(here.python)
    target = link.readlink()
    link.unlink()
    link.symlink_to("/no/such/python3")
    try:
        assert "broken" == status("engine", "acme").state
        with pytest.raises(ConfigError) as caught:
            runtime.interpreter("acme", plugins.installed().engine("acme"))
    finally:
        link.unlink()
        link.symlink_to(target)
    assert f"has lost the Python {here.version}" in str(caught.value)
    assert str(caught.value).endswith("modelplug engine install acme")


def test_an_environment_in_use_is_not_removed(look: Made) -> None:
    here = installed("engine", "acme")
    assert here is not None
    argv = [here.python, "-c", "print('it runs', flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # right after exec the kernel tells of no arguments yet
        with pytest.raises(ConfigError) as caught:
            remove("acme")
        assert [process.pid] == users_of(here.path)
        process.communicate(b"\n")

    assert f"is in use by process {process.pid}; stop it first" in str(caught.value)
    assert here == installed("engine", "acme")


def test_an_engine_without_its_packages_tells_the_exact_command(acme: Acme) -> None:
    with pytest.raises(ConfigError) as caught:
        runtime.interpreter("acme", plugins.installed().engine("acme"))

    assert (
        "acme needs the Python module 'acme_core', which is not installed here; modelplug engine "
        "install acme, or give python= an interpreter that has it" == str(caught.value)
    )
    assert "absent" == status("engine", "acme").state


def test_an_engine_whose_packages_are_here_runs_here(
    acme: Acme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/acme_core.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "here"))

    assert sys.executable == runtime.interpreter("acme", plugins.installed().engine("acme"))
    assert "here" == status("engine", "acme").state


def test_a_machine_that_no_list_is_for_is_told(acme: Acme) -> None:
    acme.manifest('platforms = ["plan9-mips"]\n')

    with pytest.raises(ConfigError) as caught:
        install("acme")
    assert str(caught.value).startswith("the plugin of acme has no list of packages for ")
    with pytest.raises(ConfigError) as caught:
        runtime.interpreter("acme", plugins.installed().engine("acme"))
    assert "(its plugin has no list of packages for " in str(caught.value)


def test_another_version_of_python_that_would_do_is_named(acme: Acme) -> None:
    acme.manifest('python = ["2.7"]\n')

    with pytest.raises(ConfigError) as caught:
        install("acme")
    assert str(caught.value).endswith("; name one of Python 2.7 by --python")


def test_the_list_for_the_device_is_taken(acme: Acme) -> None:
    acme.manifest('device = "cuda"\n[[deploy_local.acme.environments]]\nlock = "lock.txt"\n')

    def devices(asked: str) -> list[str]:
        return [each.environment.device for each in recipes("engine", "acme", device=asked)]

    assert ["cuda"] == devices("cuda")
    assert ["cpu"] == devices("cpu")


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(acme: Acme) -> None:
    acme.manifest("size = 10_000_000_000_000_000\n")

    with pytest.raises(ConfigError) as caught:
        install("acme")
    assert "the environment of acme takes 10000000.0 GB and " in str(caught.value)
    assert ["lock"] == [path.name for path in folder_of("engine", "acme").iterdir()]


def test_a_package_with_another_hash_is_refused_and_nothing_is_left(acme: Acme) -> None:
    acme.lock(*PINS, sha256="0" * 64)

    with pytest.raises(EngineError) as caught:
        install("acme")
    assert "the environment of acme could not be made" in str(caught.value)
    assert re.search("DO NOT MATCH|hash mismatch", str(caught.value), re.I)
    assert None is installed("engine", "acme")
    assert ["lock"] == [path.name for path in folder_of("engine", "acme").iterdir()]


def test_a_list_without_a_hash_is_refused(acme: Acme) -> None:
    (acme.package / "lock.txt").write_text("acme-core==1.2\n")

    with pytest.raises(EngineError) as caught:
        install("acme")
    assert "hash" in str(caught.value).lower()


def test_a_package_that_cannot_be_imported_is_not_put_to_use(acme: Acme) -> None:
    digest = make_wheel(acme.wheels, "acme-core", "1.2", "raise ImportError('wrong CPU')\n")
    (acme.package / "lock.txt").write_text(f"acme-core==1.2 --hash=sha256:{digest}\n")

    with pytest.raises(EngineError) as caught:
        install("acme")
    assert "ImportError: wrong CPU" in str(caught.value)
    assert None is installed("engine", "acme")


def test_what_has_no_hash_is_recorded_with_the_one_that_came(acme: Acme) -> None:
    digest = make_wheel(acme.wheels, "acme-heavy", "3.0")
    acme.manifest('loose = ["acme-heavy==3.0"]\n')

    ((made, is_new),) = install("acme")
    heavy, core = made.packages["acme-heavy"], made.packages["acme-core"]
    assert (True, False, True) == (is_new, heavy.locked, core.locked)
    assert digest == heavy.sha256
    remove("acme")
    assert ["lock"] == [path.name for path in folder_of("engine", "acme").iterdir()]
    assert "absent" == status("engine", "acme").state


def test_two_at_once_make_one(acme: Acme, family: Family) -> None:
    programs = [family.run(INSTALLER) for _ in range(2)]

    ends = [program.communicate(timeout=120)[0].splitlines()[-1].split() for program in programs]
    assert {"new", "old"} == {word for word, _ in ends}
    assert 1 == len({path for _, path in ends})


def test_a_kill_half_way_leaves_nothing_running_and_the_next_one_mends_it(
    acme: Acme, family: Family
) -> None:
    folder = folder_of("engine", "acme")
    for after in ("told making", "told importing"):
        program = family.run(INSTALLER)
        assert program.stdout is not None
        assert any(line.startswith(after) for line in program.stdout)
        program.kill()
        program.communicate()
        family.wait_until_gone(DEADLINE)
        assert None is installed("engine", "acme")
    left = {path.name for path in folder.iterdir()} - {"lock"}
    assert left

    ((made, _),) = install("acme")
    assert {"lock", "current.json", made.path.name} == {path.name for path in folder.iterdir()}


def test_names_that_are_no_engine_are_refused(acme: Acme) -> None:
    with pytest.raises(PluginNotFound):
        install("acmee")
    with pytest.raises(ConfigError, match="there is no environment of 'acmee'"):
        remove("acmee")
    with pytest.raises(ConfigError, match=r"'acmee' has or could have .*; did you mean 'acme'\?"):
        statuses(names=["acmee"])
    acme.manifest(text=MANIFEST.partition("[[")[0])
    with pytest.raises(ConfigError, match="the engine 'acme' declares no environment"):
        install("acme")


def test_what_is_left_of_a_plugin_that_went_is_listed(acme: Acme, tmp_path: Path) -> None:
    record = {
        "kind": "engine", "name": "gone", "path": "cpu-0", "digest": "", "device": "cpu",
        "version": "3.11.1", "packages": {}, "size": 0, "made": "",
    }  # fmt: skip
    folder = folder_of("engine", "gone")
    folder.mkdir(parents=True)
    (folder / "current.json").write_text(json.dumps(record))

    states = {each.name: (each.state, each.mend) for each in statuses()}
    assert ("unused", "modelplug engine remove gone") == states["gone"]
    assert "absent" == states["acme"][0]
    acme.manifest(text="[deploy_local.acme]\ntitel = 'Acme'\n")
    assert "acme" not in {each.name for each in statuses()}


def test_a_record_that_cannot_be_read_is_told_with_the_mend(acme: Acme) -> None:
    folder = folder_of("engine", "acme")
    folder.mkdir(parents=True)
    (folder / "current.json").write_text('{"kind": "engine"')

    with pytest.raises(ConfigError) as caught:
        installed("engine", "acme")
    assert "run modelplug engine remove acme, then modelplug engine install acme" in str(
        caught.value
    )
    assert "broken" == status("engine", "acme").state
    assert [folder] == remove("acme")
    assert None is installed("engine", "acme")


def test_a_folder_that_may_not_be_written_is_told(
    acme: Acme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODELPLUG_HOME", str(tmp_path / "file"))

    with pytest.raises(ConfigError) as caught:
        install("acme")
    assert str(caught.value).endswith("cannot be written: Not a directory; set MODELPLUG_HOME")


def test_uv_is_told_what_pip_is_set_up_with() -> None:
    config = (
        "global.index-url='https://mirror.example/simple'\n"
        "install.extra-index-url='https://a.example/s https://b.example/s'\n"
        ":env:.find-links='/opt/wheels'\n"
        "global.cert='/etc/ca.pem'\n"
        "global.timeout='60'\n"
    )

    assert {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://a.example/s https://b.example/s",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/opt/wheels",
        "SSL_CERT_FILE": "/etc/ca.pem",
    } == uv_settings(config, {})
    assert "UV_DEFAULT_INDEX" not in uv_settings(config, {"UV_DEFAULT_INDEX": "https://own"})
    assert {} == uv_settings("", os.environ)
