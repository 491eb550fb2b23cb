"""`modelplug bundle --wheels NAME`: a program and its weights, for a machine without a network."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cli_terminal import Run

from modelplug_local.weights.testing_hub import Hub

REPOSITORY = "Qwen/Qwen2-1.5B-Instruct-GGUF"
GGUF = b"GGUF\3\0\0\0" + bytes(16) + b"4" * 100_000
CONFIG = "greeter: {source: local}\n"


def make_wheel(folder: Path, name: str, source: str, needs: str = "") -> None:
    """A distribution with one module."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)


@pytest.fixture
def site(run: Run, env: dict[str, str], tmp_path: Path) -> Path:
    """A bundle with a model, the distribution greeter with what it needs, and a config map."""
    index, config = tmp_path / "index", tmp_path / "modelplug.yaml"
    index.mkdir()
    make_wheel(index, "words", "hello = 'good day'\n")
    make_wheel(index, "greeter", "from words import hello\n", "Requires-Dist: words==1.0\n")
    make_wheel(index, "unrelated", "")
    config.write_text(CONFIG)
    with Hub({REPOSITORY: {"m-q4_k_m.gguf": GGUF}}) as hub:
        env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
        env |= {"MODELSCOPE_ENDPOINT": hub.url, "MODELPLUG_MODEL_CACHE_DIR": str(tmp_path / "here")}
        out = tmp_path / "site.tar"
        packed = run(
            "bundle", "qwen2-1.5b", "--wheels", "greeter", "--config", str(config), "-o", str(out)
        )  # fmt: skip
    assert (0, f"{out}\n") == (packed.returncode, packed.stdout), packed.stderr
    # The other machine: it has neither the index nor the hub.
    del env["PIP_FIND_LINKS"], env["MODELSCOPE_ENDPOINT"]
    env |= {"MODELPLUG_OFFLINE": "1", "MODELPLUG_MODEL_CACHE_DIR": str(tmp_path / "there")}
    return out


def test_a_distribution_is_installed_where_no_index_can_be_reached(
    site: Path, run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    folder, wheels = tmp_path / "venv", tmp_path / "wheels"

    done = run("unbundle", str(site), "--wheels", str(wheels), "--config", str(tmp_path / "c"))

    assert (0, f"{REPOSITORY}\n") == (done.returncode, done.stdout)
    assert f"pip install --no-index --find-links {wheels} NAME" in done.stderr
    assert ["greeter-1.0-py3-none-any.whl", "words-1.0-py3-none-any.whl"] == sorted(
        path.name for path in wheels.iterdir()
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run(
        [*pip, "--no-index", "--find-links", str(wheels), "greeter"], env=env, check=True
    )
    told = subprocess.run(
        [python, "-c", "import greeter; print(greeter.hello)"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "good day\n" == told.stdout
    assert GGUF == (tmp_path / "there" / REPOSITORY / "m-q4_k_m.gguf").read_bytes()
    assert CONFIG == (tmp_path / "c" / "modelplug.yaml").read_text()


def test_one_flipped_bit_in_a_wheel_is_refused_and_nothing_is_put_anywhere(
    site: Path, run: Run, tmp_path: Path
) -> None:
    data = bytearray(site.read_bytes())
    data[data.index(b"good day")] ^= 1
    site.write_bytes(data)

    w, c = tmp_path / "w", tmp_path / "c"
    done = run("unbundle", str(site), "--wheels", str(w), "--config", str(c))

    assert 1 == done.returncode
    assert (
        "error: 'wheels/words-1.0-py3-none-any.whl' was damaged on its way; copy the bundle again\n"
        == done.stderr
    )
    assert not w.exists()
    assert not c.exists()
    assert not (tmp_path / "there" / REPOSITORY).exists()


def test_a_distribution_that_cannot_be_had_is_told_and_no_bundle_is_left(
    run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    out = tmp_path / "site.tar"

    done = run("bundle", "--wheels", "greeter", "-o", str(out))

    assert 1 == done.returncode
    assert done.stderr.startswith("error: the wheels of 'greeter' could not be had: ")
    assert "No matching distribution found for greeter" in done.stderr
    assert not out.exists()
