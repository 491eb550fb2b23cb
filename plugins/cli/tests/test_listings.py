"""`modelplug explain`, `plugins`, `doctor` and `version`."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from pathlib import Path

import pytest
from cli_terminal import MODELPLUG, Install, Open, Run

from modelplug.testing import CANARY, FaultServer

PROVIDER = '[create_online.{0}]\ntitle = "Acme"\nbase-url = "http://127.0.0.1:9"\n'
POINT = "[modelplug.create_online]\n{0} = {1}:plugin\n"
PRINTS = 'print("imported")\nplugin = object()\n'


def test_explain_tells_what_decided_each_setting(run: Run, server: FaultServer) -> None:
    done = run("explain", "moon-1", "--source", "openai", "--json")

    choice = json.loads(done.stdout)
    assert (0, "online", "moon-1", "openai") == (
        done.returncode,
        choice["kind"],
        choice["model"],
        choice["source"],
    )
    settings = {setting["name"]: setting for setting in choice["settings"]}
    assert {"name": "url", "value": server.url, "from": "MODELPLUG_OPENAI_BASE_URL"} == settings[
        "url"
    ]
    assert {"name": "api_key", "value": "***", "from": "OPENAI_API_KEY"} == settings["api_key"]
    assert [] == server.requests


def test_explain_is_the_same_text_on_a_terminal_and_in_a_pipe(run: Run, terminal: Open) -> None:
    piped = run("explain", "moon-1", "--source", "openai").stdout

    screen = terminal("explain", "moon-1", "--source", "openai")
    assert 0 == screen.end()
    assert piped.startswith("moon-1 → online, openai (llm)\n")
    assert "moon-1 → online, openai (llm)" in screen.seen
    assert "***" in screen.seen


def test_explain_ends_with_1_for_what_cannot_be_placed(run: Run, env: dict[str, str]) -> None:
    done = run("explain", "no-such-model", "--source", "local")

    assert 1 == done.returncode
    assert done.stdout.startswith("no-such-model cannot be placed\n")


def test_plugins_lists_without_importing(run: Run, install: Install) -> None:
    install("acme", POINT.format("acme", "acme"), PRINTS, PROVIDER.format("acme"))

    done = run("plugins")
    assert (0, "") == (done.returncode, done.stderr)
    assert "create_online\tacme\tacme\t1.0\tok\t\n" in done.stdout
    assert "create_online\topenai\tmodelplug-openai\t" in done.stdout


def test_plugins_tells_each_that_is_not_well_and_why(
    run: Run, install: Install, env: dict[str, str]
) -> None:
    install("one", POINT.format("acme", "one"), PRINTS, PROVIDER.format("acme"))
    install("two", POINT.format("acme", "two"), PRINTS, PROVIDER.format("acme"))
    install("gone", POINT.format("gone", "gone"), None)
    install("odd", POINT.format("odd", "odd"), PRINTS, "[create_online.odd]\ntitel = 'Odd'\n")
    install("raises", POINT.format("raises", "raises"), "1 / 0", PROVIDER.format("raises"))
    install("leaves", POINT.format("leaves", "leaves"), "exit(3)", PROVIDER.format("leaves"))
    install("hidden", POINT.format("hidden", "hidden"), PRINTS, PROVIDER.format("hidden"))
    env["MODELPLUG_BLOCK"] = "hidden"

    done = run("plugins", "--check", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout) if row["group"] == "create_online"}
    states = {name: row["state"] for name, row in rows.items()}
    made = ("acme", "gone", "odd", "raises", "leaves", "hidden")
    assert 1 == done.returncode
    assert {
        "acme": "duplicate",
        "gone": "broken",
        "odd": "broken",
        "raises": "broken",
        "leaves": "broken",
        "hidden": "blocked",
        "openai": "ok",
    } == {name: states[name] for name in (*made, "openai")}
    assert "provides it too; uninstall one of them" in rows["acme"]["why"]
    assert "'gone' is missing" in rows["gone"]["why"]
    assert "titel" in rows["odd"]["why"]
    assert "ZeroDivisionError" in rows["raises"]["why"]
    assert "SystemExit: 3" in rows["leaves"]["why"]


def test_what_a_plugin_prints_as_it_is_imported_is_not_in_the_listing(
    run: Run, install: Install
) -> None:
    install("acme", POINT.format("acme", "acme"), PRINTS, PROVIDER.format("acme"))

    done = run("plugins", "--check", "--json")
    assert "acme" in {row["name"] for row in json.loads(done.stdout)}
    assert "imported\n" == done.stderr


def test_plugins_is_a_table_on_a_terminal(terminal: Open, install: Install) -> None:
    install("raises", POINT.format("[red]", "raises"), "1 / 0", PROVIDER.format("'[red]'"))

    screen = terminal("plugins")
    assert 0 == screen.end()
    assert "group" in screen.seen.splitlines()[0]
    assert "[red]" in screen.seen


def checks(run: Run) -> dict[tuple[str, str], dict[str, str]]:
    found = json.loads(run("doctor", "--json").stdout)["checks"]
    return {(check["area"], check["name"]): check for check in found}


def test_doctor_tells_of_each_key_whether_it_is_set(run: Run, env: dict[str, str]) -> None:
    key = checks(run)["key", "openai"]
    assert ("ok", "OPENAI_API_KEY is set", "") == (key["state"], key["found"], key["mend"])

    del env["OPENAI_API_KEY"]
    key = checks(run)["key", "openai"]
    assert ("note", "not set") == (key["state"], key["found"])
    assert key["mend"].startswith("set OPENAI_API_KEY or MODELPLUG_OPENAI_API_KEY (get one at http")


@pytest.mark.parametrize(
    ("key", "flaw"),
    [
        (f'"{CANARY}"', "begins with a quote"),
        (
            f"file:{CANARY}",
            "holds a reference, which is followed in the argument api_key= alone",
        ),
        (f"{CANARY} x", "has a space or line break inside"),
        (f"{CANARY}é", "has characters that no HTTP header can carry"),
    ],
)
def test_doctor_finds_a_mangled_key_and_does_not_show_it(
    key: str, flaw: str, run: Run, env: dict[str, str]
) -> None:
    env["OPENAI_API_KEY"] = key

    check = checks(run)["key", "openai"]
    assert ("broken", f"OPENAI_API_KEY is set and {flaw}") == (check["state"], check["found"])


def test_doctor_ends_with_1_and_the_mend_where_a_plugin_is_broken(
    run: Run, install: Install
) -> None:
    install("raises", POINT.format("raises", "raises"), "1 / 0", PROVIDER.format("raises"))

    done = run("doctor")
    assert 1 == done.returncode
    assert "ZeroDivisionError" in done.stdout
    assert "→ upgrade or uninstall raises\n" in done.stdout
    assert done.stdout.endswith("1 broken\n")


def test_doctor_says_the_same_on_a_terminal_and_in_a_pipe(run: Run, terminal: Open) -> None:
    screen = terminal("doctor")
    screen.until("machine")
    shown = re.sub(r"\033\[[0-9;?]*[a-zA-Z]", "", screen.seen)
    shown = shown[shown.index("python") :]

    # Not what is free on the machine: that changes from one run to the next.
    piped = run("doctor").stdout
    told = piped[: piped.index("machine")]
    assert "".join(told.split()) == "".join(shown[: shown.index("machine")].split())


def test_doctor_notes_a_proxy_that_would_catch_loopback_without_its_password(
    run: Run, env: dict[str, str]
) -> None:
    env["HTTPS_PROXY"] = f"http://me:{CANARY}@proxy.example:3128"
    check = checks(run)["network", "proxies"]
    assert "note" == check["state"]
    assert check["found"].startswith("https through http://proxy.example:3128; ")
    assert "add localhost,127.0.0.1 to NO_PROXY" == check["mend"]

    env["NO_PROXY"] = "localhost,127.0.0.1"
    assert "ok" == checks(run)["network", "proxies"]["state"]


def test_doctor_finds_a_cache_that_cannot_be_written(
    run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    env["MODELPLUG_MODEL_CACHE_DIR"] = str(file / "models")

    check = checks(run)["machine", "disk"]
    assert ("broken", f"{file} cannot be written") == (check["state"], check["found"])


def test_doctor_reads_what_nvidia_smi_tells(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    line = "NVIDIA H200, 143771 MiB, 143000 MiB, 570.86.15"
    program.write_text(f"#!/bin/sh\necho '{line}'\n")
    program.chmod(0o755)
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    gpu = checks(run)["machine", "gpu"]
    assert "NVIDIA H200, 143000 MiB of 143771 MiB free, driver 570.86.15" == gpu["found"]

    program.write_text("#!/bin/sh\necho 'Driver/library version mismatch'\nexit 18\n")
    gpu = checks(run)["machine", "gpu"]
    assert ("note", "nvidia-smi fails: Driver/library version mismatch") == (
        gpu["state"],
        gpu["found"],
    )


def test_no_listing_breaks_off_where_its_reader_goes_away(env: dict[str, str]) -> None:
    for command in ("plugins", "doctor", "version"):
        process = subprocess.Popen(
            [*MODELPLUG, command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"" == process.stderr.read()
        process.stderr.close()
        assert 0 == process.wait()


def test_version_tells_three_versions(run: Run) -> None:
    versions = json.loads(run("version", "--json").stdout)

    assert ["modelplug", "modelplug-cli", "python"] == list(versions)
    assert platform.python_version() == versions["python"]
    assert run("version").stdout.splitlines()[2] == f"python {platform.python_version()}"
