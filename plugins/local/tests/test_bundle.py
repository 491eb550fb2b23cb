"""Bundles: what arrives is what was packed, or nothing is put anywhere."""

from __future__ import annotations

import io
import json
import random
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weight_files import gguf_bytes

from modelplug.errors import BadReply, ConfigError
from modelplug_local import runtime
from modelplug_local.weights.bundle import CONTENTS, pack, read, unpack
from modelplug_local.weights.store import check_path


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "m-q4_k_m.gguf").write_bytes(gguf_bytes() + random.Random(1).randbytes(100_000))  # noqa: S311
    (folder / "sub").mkdir()
    (folder / "sub" / "x.json").write_text("{}")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "modelplug_weights.json"
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    wheel, config = tmp_path / "a-1-py3-none-any.whl", tmp_path / "modelplug.yaml"
    wheel.write_bytes(b"wheel")
    config.write_text("m: {}\n")
    out = tmp_path / "site.tar"
    pack(out, {"org/m": model(tmp_path / "m")}, wheels=[wheel], config=config)
    return out


def open_up(bundle: Path, folder: Path) -> None:
    unpack(bundle, folder / "cache", wheels=folder / "wheels", config=folder / "config")


def test_what_was_packed_arrives(bundle: Path, tmp_path: Path, monkeypatch: Any) -> None:
    there = tmp_path / "there"
    open_up(bundle, there)

    assert everything(tmp_path / "m") == everything(there / "cache" / "org" / "m")
    assert {"a-1-py3-none-any.whl": b"wheel"} == everything(there / "wheels")
    assert {"modelplug.yaml": b"m: {}\n"} == everything(there / "config")
    monkeypatch.setenv("MODELPLUG_MODEL_CACHE_DIR", str(there / "cache"))
    assert "m-q4_k_m.gguf" == runtime.find("org/m", formats=["gguf"]).path.name


def test_the_same_models_make_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    pack(
        again,
        {"org/m": tmp_path / "m"},
        wheels=[tmp_path / "a-1-py3-none-any.whl"],
        config=tmp_path / "modelplug.yaml",
    )

    assert bundle.read_bytes() == again.read_bytes()


def test_a_file_that_exists_is_not_overwritten(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"site.tar' exists; name another file"):
        pack(bundle, {"org/m": tmp_path / "m"})
    (tmp_path / "there" / "config").mkdir(parents=True)
    (tmp_path / "there" / "config" / "modelplug.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"modelplug.yaml' exists; name another folder"):
        open_up(bundle, tmp_path / "there")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_harms_nothing(
    bundle: Path, tmp_path: Path, place: float, bit: int
) -> None:
    data = bytearray(bundle.read_bytes())
    at = int(place * len(data))
    data[at] ^= 1 << bit
    damaged, there = tmp_path / "damaged.tar", tmp_path / f"there-{at}-{bit}"
    damaged.write_bytes(data)

    try:
        open_up(damaged, there)
    except (BadReply, ConfigError):
        assert {} == everything(there)
    else:  # in padding, or in what a tar says of owners and times
        assert everything(tmp_path / "m") == everything(there / "cache" / "org" / "m")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_a_bundle_that_is_cut_off_harms_nothing(bundle: Path, tmp_path: Path, share: float) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(BadReply):
        open_up(bundle, tmp_path / "there")

    assert {} == everything(tmp_path / "there")


def forged(
    path: Path, contents: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]
) -> Path:
    with tarfile.open(path, "w") as tar:
        text = json.dumps({"version": 1, **contents}).encode()
        first = tarfile.TarInfo(CONTENTS)
        first.size = len(text)
        tar.addfile(first, io.BytesIO(text))
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def listed(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "size": len(data), "sha256": sha256(data).hexdigest()}


def of(repository: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    return {"hub": "", "repository": repository, "revision": "", "files": files}


@pytest.mark.parametrize(
    "path", ["../evil", "../../evil", "/evil", "a/../../evil", "a\\..\\evil", ".."]
)
@pytest.mark.parametrize("kind", ["models", "wheels", "config"])
def test_no_path_leads_out(tmp_path: Path, kind: str, path: str) -> None:
    file = listed(path, b"evil")
    contents = {kind: [of("org/m", [file])] if kind == "models" else [file]}
    name = f"models/org/m/{path}" if kind == "models" else f"{kind}/{path}"
    bundle = forged(tmp_path / "b.tar", contents, [(tarfile.TarInfo(name), b"evil")])

    with pytest.raises(BadReply):
        open_up(bundle, tmp_path / "deep" / "there")

    assert [bundle] == [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("repository", ["../m", "..", "org", "/org/m", ".staging/m", "org/.."])
def test_no_name_of_a_model_leads_out(tmp_path: Path, repository: str) -> None:
    contents = {"models": [of(repository, [listed("x", b"evil")])]}
    member = tarfile.TarInfo(f"models/{repository}/x")
    bundle = forged(tmp_path / "b.tar", contents, [(member, b"evil")])

    with pytest.raises(BadReply, match="is no name of a model"):
        open_up(bundle, tmp_path / "there")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_only_plain_files_are_taken(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("wheels/x")
    member.type, member.linkname = kind, "/etc/passwd"
    bundle = forged(tmp_path / "b.tar", {"wheels": [listed("x", b"")]}, [(member, b"")])

    with pytest.raises(BadReply, match="which its list does not have so"):
        open_up(bundle, tmp_path / "there")


def test_a_member_that_is_not_in_the_list_is_refused(tmp_path: Path) -> None:
    bundle = forged(tmp_path / "b.tar", {}, [(tarfile.TarInfo("wheels/x"), b"evil")])

    with pytest.raises(BadReply, match="'wheels/x', which its list does not have so"):
        open_up(bundle, tmp_path / "there")


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        ({"version": 2}, "is of version 2; upgrade modelplug-local"),
        ({"models": 7}, "is damaged: "),
        ({"wheels": [{"path": "x", "size": 1}]}, "'wheels/x' has no hash"),
    ],
)
def test_a_list_that_cannot_be_read_is_told(
    tmp_path: Path, contents: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadReply, match=why):
        read(forged(tmp_path / "b.tar", contents, []))


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"no tar at all")

    with pytest.raises(BadReply, match="is no bundle"):
        read(path)


@given(st.lists(st.sampled_from(["..", ".", "a", "", "b.c", "\\", "\0", "~"]), max_size=6))
def test_a_path_that_is_accepted_stays_in_its_folder(parts: list[str]) -> None:
    path = "/".join(parts)
    try:
        check_path(path)
    except BadReply:
        return
    root = Path("/root/of/models")

    assert root in (root / path).resolve().parents or root == (root / path)
