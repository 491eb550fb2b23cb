"""`modelplug pull`, `models --local`, `rm`, `bundle` and `unbundle`, with a hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_terminal import Open, Run

from modelplug_local.weights.testing_hub import Fault, Hub

REPOSITORY = "Qwen/Qwen2-1.5B-Instruct-GGUF"
# The head of a GGUF file without one key: complete, of no known architecture.
HEAD = b"GGUF\3\0\0\0" + bytes(16)
FILES = {
    "m-q4_k_m.gguf": HEAD + b"4" * 100_000,
    "m-q8_0.gguf": HEAD + b"8" * 200_000,
    "LICENSE": b"free",
    "README.md": b"# m",
}


@pytest.fixture
def hub(env: dict[str, str], tmp_path: Path) -> Iterator[Hub]:
    with Hub({REPOSITORY: FILES}) as hub:
        env |= {
            "MODELSCOPE_ENDPOINT": hub.url,
            "HF_ENDPOINT": hub.url,
            "MODELPLUG_MODEL_CACHE_DIR": str(tmp_path / "models"),
        }
        yield hub


def local(run: Run) -> dict[str, dict[str, object]]:
    """Name to row of `models --local`, without what plugins ship."""
    rows = json.loads(run("models", "--local", "--json").stdout)
    return {row["name"]: row for row in rows if row["place"] != "installed plugins"}


@pytest.mark.parametrize("source", ["modelscope", "huggingface"])
def test_pull_fetches_what_is_needed_and_prints_where_it_is(
    hub: Hub, run: Run, tmp_path: Path, source: str
) -> None:
    done = run("pull", "qwen2-1.5b", "--format", "gguf", "--source", source)

    folder = tmp_path / "models" / REPOSITORY
    assert (f"{folder}/m-q4_k_m.gguf\n", "") == (done.stdout, done.stderr)
    assert {"m-q4_k_m.gguf", "LICENSE", "modelplug_weights.json"} == {
        path.name for path in folder.iterdir()
    }


def test_a_dry_run_lists_the_files_and_fetches_none(hub: Hub, run: Run, tmp_path: Path) -> None:
    done = run("pull", "qwen2-1.5b:q8_0", "--format", "gguf", "--dry-run")

    assert f"m-q8_0.gguf\t{len(FILES['m-q8_0.gguf'])}\nLICENSE\t4\n" == done.stdout
    assert f"{REPOSITORY} on modelscope, 200028 bytes in all\n" == done.stderr
    assert {} == local(run)


def test_explain_asks_no_hub_and_knows_the_size_after_a_dry_run(hub: Hub, run: Run) -> None:
    before = run("explain", "qwen2-1.5b", "--source", "local")
    asked = list(hub.seen)
    run("pull", "qwen2-1.5b", "--dry-run")
    after = run("explain", "qwen2-1.5b", "--source", "local")

    assert [] == asked
    from_hub = f"→ downloads {REPOSITORY} from modelscope, "
    assert f"{from_hub}of a size that modelplug pull --dry-run qwen2-1.5b tells" in before.stdout
    assert f"{from_hub}100.0 kB" in after.stdout


def test_what_is_on_the_disk_is_listed(hub: Hub, run: Run, tmp_path: Path) -> None:
    run("pull", "qwen2-1.5b", "--format", "gguf")

    row = local(run)[REPOSITORY]

    assert (100_028, ["gguf"], "llm", "complete") == (
        row["bytes"],
        row["formats"],
        row["type"],
        row["state"],
    )
    assert 0 == run("models", "--local", "instruct", "gguf").returncode
    assert 1 == run("models", "--local", "nothing-like-it").returncode


def test_a_download_that_broke_is_listed_with_how_much_there_is(hub: Hub, run: Run) -> None:
    hub.faults.append(Fault("q4_k_m.gguf", status=404))

    done = run("pull", "qwen2-1.5b", "--format", "gguf", "--source", "huggingface")

    assert 1 == done.returncode
    assert "begun: 0% of it" == local(run)[REPOSITORY]["state"]


def test_rm_deletes_it_with_what_was_begun(hub: Hub, run: Run, tmp_path: Path) -> None:
    run("pull", "qwen2-1.5b", "--format", "gguf")

    done = run("rm", REPOSITORY)

    assert f"{REPOSITORY}: 100.4 kB freed\n" == done.stderr
    assert {} == local(run)
    again = run("rm", REPOSITORY)
    assert 1 == again.returncode
    assert "is not in" in again.stderr


def test_a_bundle_brings_models_and_a_config_to_a_machine_without_a_network(
    hub: Hub, run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    config, wheels = tmp_path / "modelplug.yaml", tmp_path / "wheelhouse"
    config.write_text("m: {}\n")
    wheels.mkdir()
    (wheels / "a-1-py3-none-any.whl").write_bytes(b"wheel")
    site = str(tmp_path / "site.tar")
    made = run(
        "bundle", REPOSITORY, "-o", site, "--config", str(config), "--wheels", str(wheels)
    )  # fmt: skip
    env |= {"MODELPLUG_OFFLINE": "1", "MODELPLUG_MODEL_CACHE_DIR": str(tmp_path / "there")}
    hub.seen.clear()

    done = run("unbundle", site, "--wheels", str(tmp_path / "w"), "--config", str(tmp_path / "c"))

    assert (0, f"{site}\n") == (made.returncode, made.stdout)
    assert (0, f"{REPOSITORY}\n") == (done.returncode, done.stdout)
    assert b"wheel" == (tmp_path / "w" / "a-1-py3-none-any.whl").read_bytes()
    assert "m: {}\n" == (tmp_path / "c" / "modelplug.yaml").read_text()
    assert f"{tmp_path}/there/{REPOSITORY}/m-q4_k_m.gguf\n" == run("pull", "qwen2-1.5b").stdout
    assert [] == hub.seen


def test_on_a_terminal_progress_is_shown(hub: Hub, terminal: Open, tmp_path: Path) -> None:
    hub.rate = 60_000
    opened = terminal("pull", REPOSITORY, "--format", "gguf", out=tmp_path / "out")

    opened.until(" of 100.0 kB  ")
    opened.until("100%")


def test_ctrl_c_ends_it(hub: Hub, terminal: Open, tmp_path: Path) -> None:
    hub.rate = 10_000
    opened = terminal("pull", REPOSITORY, "--format", "gguf", out=tmp_path / "out")
    opened.until("%")

    opened.interrupt()

    assert 130 == opened.process.wait(10)


def test_a_problem_of_the_hub_is_one_line(hub: Hub, run: Run) -> None:
    done = run("pull", "org/none")

    assert 1 == done.returncode
    assert done.stderr.startswith("error: modelscope has no repository 'org/none'")
    assert 1 == done.stderr.count("\n")
