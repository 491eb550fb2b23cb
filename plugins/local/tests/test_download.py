"""Downloads by the hubs' real clients, from a hub on loopback that misbehaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from repositories import HUBS, MODEL, chosen, everything, repository
from weight_files import gguf_bytes, safetensors_bytes

from modelplug.errors import (
    BadReply,
    CallError,
    ConfigError,
    NoModel,
    PermissionRefused,
    TimedOut,
)
from modelplug_local import pull, runtime
from modelplug_local.weights import fetcher, plan
from modelplug_local.weights.download import Patience, download
from modelplug_local.weights.hubs import access
from modelplug_local.weights.store import Manifest, read_manifest
from modelplug_local.weights.testing_hub import Fault, Hub

SHORT = Patience(seconds=1.5)


def fetch(hub: Hub, source: str, cache: Path, patience: Patience | None = None) -> Path:
    def choose(names: Sequence[str]) -> Sequence[str]:
        return [name for name in names if name in chosen(hub.repositories[MODEL])]

    return download(MODEL, choose, access(source, os.environ), cache, patience=patience)


# What is fetched


@HUBS
def test_only_what_the_format_needs_is_fetched_and_nothing_else_is_there(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = repository()

    found = pull(MODEL, formats=["gguf"], source=source)

    assert (cache / MODEL / "m-Q4_K_M.gguf", "gguf", "llm") == (
        found.path,
        found.format,
        found.type,
    )
    assert chosen(hub.repositories[MODEL]) == everything(cache / MODEL)
    assert [] == list((cache / ".staging").iterdir())


@HUBS
def test_the_manifest_holds_the_origin_and_the_hash_of_each_file(
    hub: Hub, cache: Path, source: str
) -> None:
    from hashlib import sha256

    hub.repositories[MODEL] = repository()
    pull(MODEL, formats=["gguf"], source=source)

    manifest = read_manifest(cache / MODEL)

    assert manifest is not None
    assert (source, MODEL) == (manifest.hub, manifest.repository)
    assert {n: (len(d), sha256(d).hexdigest()) for n, d in everything(cache / MODEL).items()} == {
        file.path: (file.size, file.sha256) for file in manifest.files
    }


@HUBS
def test_a_model_that_is_there_is_not_asked_for_again(hub: Hub, cache: Path, source: str) -> None:
    hub.repositories[MODEL] = repository()
    pull(MODEL, formats=["gguf"], source=source)
    hub.seen.clear()

    pull(MODEL, formats=["gguf"], source=source)

    assert [] == hub.seen


@HUBS
def test_another_quantization_comes_into_the_same_folder(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = repository()
    pull(MODEL, formats=["gguf"], source=source)
    hub.sent.clear()

    found = pull(f"{MODEL}:q8_0", formats=["gguf"], source=source)

    files = hub.repositories[MODEL]
    assert cache / MODEL / "m-Q8_0.gguf" == found.path
    assert {**chosen(files), "m-Q8_0.gguf": files["m-Q8_0.gguf"]} == everything(cache / MODEL)
    assert {"m-Q8_0.gguf": len(files["m-Q8_0.gguf"])} == {
        name: sent for name, sent in hub.sent.items() if name
    }


def test_files_above_the_limit_of_plain_http_come_the_way_of_hugging_faces_client(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[MODEL] = files = repository()
    # 50 GB in truth; above it the client chooses the way, which is Xet where the hub offers it.
    monkeypatch.setattr(fetcher, "_LARGEST", 100_000)
    job = {"endpoint": hub.url, "token": None, "repository": MODEL, "revision": None}
    client = fetcher.HuggingFace(job)
    wanted = [file for file in client.listing() if file["path"] in chosen(files)]

    client.fetch(wanted, cache)

    assert chosen(files) == {file["path"]: (cache / file["path"]).read_bytes() for file in wanted}
    heads = [path for path in hub.paths("HEAD") if path.endswith("m-Q4_K_M.gguf")]
    assert 1 == len(heads)  # what the client asks first, and plain HTTP does not


@HUBS
def test_of_a_split_gguf_all_parts_are_fetched_and_counted(
    hub: Hub, cache: Path, source: str
) -> None:
    parts = {f"m-q4_k_m-0000{n}-of-00003.gguf": gguf_bytes() + bytes(n) for n in (1, 2, 3)}
    hub.repositories[MODEL] = {**parts, "m-q8_0.gguf": gguf_bytes()}

    found = pull(MODEL, formats=["gguf"], source=source)

    assert parts == everything(cache / MODEL)
    assert (cache / MODEL / "m-q4_k_m-00001-of-00003.gguf", sum(map(len, parts.values()))) == (
        found.path,
        found.size,
    )


@HUBS
def test_a_folder_of_safetensors_is_fetched_with_its_modules(
    hub: Hub, cache: Path, source: str
) -> None:
    needed = safetensors_bytes()
    hub.repositories[MODEL] = {
        **needed,
        "pytorch_model.bin": b"x" * 1000,
        "onnx/model.onnx": b"x" * 1000,
        "README.md": b"# m",
    }

    found = pull(MODEL, formats=["safetensors"], source=source)

    assert (cache / MODEL, "embed", 512) == (found.path, found.type, found.context)
    assert needed == everything(cache / MODEL)


def test_a_name_of_the_catalogue_is_fetched_from_its_repository(hub: Hub, cache: Path) -> None:
    hub.repositories["Qwen/Qwen2-1.5B-Instruct-GGUF"] = repository()

    found = runtime.find("qwen2-1.5b", formats=["gguf", "safetensors"])

    folder = cache / "Qwen/Qwen2-1.5B-Instruct-GGUF"
    assert ("qwen2-1.5b", folder / "m-Q4_K_M.gguf") == (found.name, found.path)
    assert found == runtime.find("qwen2-1.5b", formats=["gguf"], download=False)


def test_progress_is_told_in_bytes_and_ends_with_all_of_them(hub: Hub, cache: Path) -> None:
    hub.repositories[MODEL] = repository(1_000_000)
    hub.rate = 500_000
    told: list[tuple[int, int]] = []

    pull(MODEL, formats=["gguf"], progress=lambda done, total: told.append((done, total)))

    total = sum(map(len, chosen(hub.repositories[MODEL]).values()))
    assert (total, total) == told[-1]
    assert {total} == {of for _, of in told}
    assert sorted(told) == told
    assert any(0 < done < total for done, _ in told)


@pytest.mark.parametrize("damaged", [False, True])
def test_what_the_hubs_own_cache_has_is_not_fetched_again_unless_it_is_damaged(
    hub: Hub, cache: Path, tmp_path: Path, damaged: bool
) -> None:
    hub.repositories[MODEL] = files = repository()
    theirs = "from huggingface_hub import snapshot_download as s; s('org/m')"
    subprocess.run([sys.executable, "-c", theirs], check=True, capture_output=True)  # noqa: S603
    for blob in (tmp_path / "hf").rglob("blobs/*") if damaged else ():
        blob.write_bytes(bytes(blob.stat().st_size))
    hub.sent.clear()

    pull(MODEL, formats=["gguf"], source="huggingface")

    assert chosen(files) == everything(cache / MODEL)
    assert damaged == ("m-Q4_K_M.gguf" in hub.sent)


def test_what_a_dry_run_has_listed_is_known_to_who_only_looks(hub: Hub, cache: Path) -> None:
    hub.repositories[MODEL] = files = repository()
    planned = plan(MODEL, formats=["gguf"])
    hub.seen.clear()

    seen = runtime.look(f"{MODEL}:q8_0", formats=["gguf"])

    assert isinstance(planned, Manifest)
    assert ["m-Q4_K_M.gguf", "LICENSE"] == [file.path for file in planned.files]
    assert seen.download is not None
    size = len(files["m-Q8_0.gguf"]) + len(files["LICENSE"])
    assert (["m-Q8_0.gguf", "LICENSE"], size) == (seen.download.files, seen.download.size)
    assert [] == hub.seen


# What is not fetched


def test_nothing_is_fetched_where_that_is_not_wanted(hub: Hub, cache: Path) -> None:
    hub.repositories[MODEL] = repository()

    with pytest.raises(NoModel, match="modelscope: not asked, as downloads are off for this model"):
        runtime.find(MODEL, formats=["gguf"], download=False)

    assert [] == hub.seen


@pytest.mark.parametrize(
    ("variable", "source"),
    [
        ("MODELPLUG_OFFLINE", "modelscope"),
        ("MODELPLUG_OFFLINE", "huggingface"),
        ("HF_HUB_OFFLINE", "huggingface"),
        ("TRANSFORMERS_OFFLINE", "huggingface"),
    ],
)
def test_offline_asks_no_hub(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, variable: str, source: str
) -> None:
    hub.repositories[MODEL] = repository()
    monkeypatch.setenv(variable, "1")

    with pytest.raises(NoModel, match=f"{source}: not asked, as {variable} is set"):
        runtime.find(MODEL, formats=["gguf"], source=source)

    assert [] == hub.seen


def test_an_unknown_hub_is_told_with_those_there_are(hub: Hub) -> None:
    with pytest.raises(ConfigError, match="'hugingface' is no hub .*; did you mean 'huggingface'?"):
        runtime.find(MODEL, formats=["gguf"], source="hugingface")


@pytest.mark.parametrize("variable", ["MODELPLUG_MODEL_SOURCE", "LAZYLLM_MODEL_SOURCE"])
def test_a_variable_chooses_the_hub(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    hub.repositories[MODEL] = repository()
    monkeypatch.setenv(variable, "huggingface")

    pull(MODEL, formats=["gguf"])

    manifest = read_manifest(cache / MODEL)
    assert manifest is not None
    assert "huggingface" == manifest.hub


@HUBS
def test_a_repository_without_the_format_tells_what_it_holds(hub: Hub, source: str) -> None:
    hub.repositories[MODEL] = repository()

    with pytest.raises(
        NoModel, match=f"'org/m' on {source} holds gguf, and the engines at hand take safetensors"
    ):
        runtime.find(MODEL, formats=["safetensors"], source=source)


@HUBS
def test_a_quantization_that_is_not_there_tells_those_that_are(hub: Hub, source: str) -> None:
    hub.repositories[MODEL] = repository()

    with pytest.raises(NoModel, match="has q4_k_m, q8_0 and not 'q2_k'; name one of them"):
        pull(f"{MODEL}:Q2_K", formats=["gguf"], source=source)


@HUBS
def test_a_listing_that_leads_out_of_the_folder_is_refused(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = {**repository(), "a/../../../evil.gguf": b"evil"}

    with pytest.raises(BadReply, match="is no path inside a model's folder"):
        pull(MODEL, formats=["gguf"], source=source)

    assert [] == list(cache.parent.rglob("evil*"))


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[MODEL] = repository()
    free = shutil.disk_usage(cache.parent).free
    monkeypatch.setattr("modelplug_local.weights.store.SPARE", free)

    with pytest.raises(ConfigError, match=r"org/m needs 300\.\d kB and .* has .* free; make room"):
        pull(MODEL, formats=["gguf"])

    assert [] == [path for path in hub.paths() if "FilePath" in path]


# What hubs do wrong


@HUBS
def test_a_connection_that_is_cut_is_resumed(hub: Hub, cache: Path, source: str) -> None:
    hub.repositories[MODEL] = files = repository(25_000_000)
    hub.faults.append(Fault("Q4_K_M.gguf", times=1, cut=23_000_000))

    pull(MODEL, formats=["gguf"], source=source)

    assert chosen(files) == everything(cache / MODEL)
    assert hub.sent["m-Q4_K_M.gguf"] < 1.3 * len(files["m-Q4_K_M.gguf"])


@HUBS
def test_one_flipped_bit_is_noticed_and_fetched_anew(hub: Hub, cache: Path, source: str) -> None:
    hub.repositories[MODEL] = files = repository()
    hub.faults.append(Fault("Q4_K_M.gguf", times=1, flip=True))

    pull(MODEL, formats=["gguf"], source=source)

    assert chosen(files) == everything(cache / MODEL)


@HUBS
def test_wrong_bytes_for_ever_are_an_error_and_leave_nothing(
    hub: Hub, cache: Path, source: str
) -> None:
    hub.repositories[MODEL] = repository()
    hub.faults.append(Fault("Q4_K_M.gguf", flip=True))

    with pytest.raises(
        BadReply, match=f"{source} gave what cannot be right for 'org/m'.*; a proxy"
    ):
        pull(MODEL, formats=["gguf"], source=source)

    assert not (cache / MODEL).exists()


@HUBS
def test_a_login_page_in_place_of_a_file_is_an_error(hub: Hub, cache: Path, source: str) -> None:
    hub.repositories[MODEL] = repository()
    hub.faults.append(Fault("Q4_K_M.gguf", page=True))

    with pytest.raises(CallError, match="login page|wrong|right"):
        pull(MODEL, formats=["gguf"], source=source)

    assert not (cache / MODEL).exists()


@HUBS
def test_a_login_page_in_place_of_the_listing_is_an_error(hub: Hub, source: str) -> None:
    hub.repositories[MODEL] = repository()
    hub.listing_faults.append(Fault(page=True))

    with pytest.raises(BadReply, match="a login page may answer in its place"):
        pull(MODEL, formats=["gguf"], source=source)


@HUBS
def test_a_repository_that_does_not_exist_is_no_model(hub: Hub, source: str) -> None:
    with pytest.raises(NoModel, match=f"{source} has no repository 'org/none'.*check the name at "):
        pull("org/none", formats=["gguf"], source=source)


@HUBS
def test_a_gated_repository_tells_where_to_accept_its_licence(hub: Hub, source: str) -> None:
    hub.repositories[MODEL] = repository()
    hub.token = "right"

    with pytest.raises(
        PermissionRefused, match="accept its licence at https://.*; *|set "
    ) as caught:
        pull(MODEL, formats=["gguf"], source=source)

    assert 403 == caught.value.status


@HUBS
def test_the_token_is_sent_and_never_shown(
    hub: Hub, cache: Path, home: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    hub.repositories[MODEL] = repository()
    hub.token = "right-token"
    monkeypatch.setenv(f"MODELPLUG_{source.upper()}_TOKEN", "right-token")
    pull(MODEL, formats=["gguf"], source=source)
    monkeypatch.setenv(f"MODELPLUG_{source.upper()}_TOKEN", "wrong-token")

    with pytest.raises(CallError) as caught:
        pull(f"{MODEL}:q8_0", formats=["gguf"], source=source)

    logs = "".join(path.read_text() for path in (home / "logs").iterdir())
    assert "wrong-token" not in str(caught.value) + logs
    assert "right-token" not in logs


@HUBS
@pytest.mark.parametrize("status", [401, 500])
def test_a_refusal_for_ever_is_an_error_with_its_status(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, source: str, status: int
) -> None:
    monkeypatch.setenv("MODELSCOPE_DOWNLOAD_MAX_RETRIES", "0")
    hub.repositories[MODEL] = repository()
    hub.listing_faults.append(Fault(status=status, headers={"Retry-After": "0"}))

    with pytest.raises((CallError, NoModel)) as caught:
        pull(MODEL, formats=["gguf"], source=source)

    if isinstance(caught.value, CallError):
        assert status == caught.value.status
    else:  # Hugging Face answers 401 for what does not exist
        assert (401, "huggingface") == (status, source)


@HUBS
@pytest.mark.parametrize("status", [429, 503, 416])
def test_a_refusal_now_and_then_is_waited_for(
    hub: Hub, cache: Path, source: str, status: int
) -> None:
    hub.repositories[MODEL] = files = repository()
    hub.faults.append(Fault("Q4_K_M.gguf", times=1, status=status, headers={"Retry-After": "0"}))

    pull(MODEL, formats=["gguf"], source=source)

    assert chosen(files) == everything(cache / MODEL)


@HUBS
def test_a_redirect_to_another_host_is_followed_without_the_token(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    hub.repositories[MODEL] = files = repository()
    hub.token = "right-token"
    monkeypatch.setenv(f"MODELPLUG_{source.upper()}_TOKEN", "right-token")
    with Hub({MODEL: files}) as elsewhere:
        hub.faults.append(
            Fault("Q4_K_M.gguf", redirect=elsewhere.url.replace("127.0.0.1", "localhost"))
        )

        pull(MODEL, formats=["gguf"], source=source)

    assert chosen(files) == everything(cache / MODEL)
    assert [] != elsewhere.seen
    assert [] == [h for _, _, h in elsewhere.seen if "right-token" in str(h)]


@HUBS
@pytest.mark.parametrize("what", ["stall", "drip"])
def test_a_hub_that_hangs_is_an_error_that_tells_so(
    hub: Hub, cache: Path, source: str, what: str
) -> None:
    hub.repositories[MODEL] = repository()
    stall, drip = (1000, None) if what == "stall" else (None, 1000)
    hub.faults.append(Fault("Q4_K_M.gguf", stall=stall, drip=drip))

    began = time.monotonic()
    with pytest.raises(
        TimedOut, match=f"{source} hangs: nothing came in 2 s of 'org/m'.*; run it again"
    ):
        fetch(hub, source, cache, SHORT)

    assert time.monotonic() - began < 20
    assert not (cache / MODEL).exists()


@HUBS
def test_a_hub_that_hangs_once_is_asked_anew(hub: Hub, cache: Path, source: str) -> None:
    hub.repositories[MODEL] = files = repository()
    hub.faults.append(Fault("Q4_K_M.gguf", times=1, stall=1000))

    fetch(hub, source, cache, SHORT)

    assert chosen(files) == everything(cache / MODEL)


@HUBS
def test_a_hub_that_is_not_there_is_an_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(CallError, match=f"{source} could not be reached for 'org/m'"):
        pull(MODEL, formats=["gguf"], source=source)


def test_a_missing_client_tells_what_to_install(
    hub: Hub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modelscope_hub.py").write_text(
        "raise ImportError('No module named modelscope_hub')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(
        ConfigError, match="modelscope needs its client .*; pip install modelscope-hub"
    ):
        pull(MODEL, formats=["gguf"])
