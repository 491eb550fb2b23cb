"""Which weights, which options, and what is planned of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelplug.errors import ConfigError, UnknownOption
from modelplug.types import Deployment, Memory, ModelType, Plan, Secret, Weights
from modelplug_sentence_transformers import plugin
from modelplug_sentence_transformers.plans import LIBRARIES, weights_bytes

Make = Callable[..., Plan | None]


def safetensors(path: Path, dtype: str, numbers: int, width: int) -> None:
    """A file of one tensor of zeros."""
    size = numbers * width
    tensor = {"dtype": dtype, "shape": [numbers], "data_offsets": [0, size]}
    head = json.dumps({"__metadata__": {"format": "pt"}, "w": tensor}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(size))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(
        type: str = "embed", format: str = "safetensors", trusted: bool = False, **options: Any
    ) -> Plan | None:
        weights = Weights("m", tmp_path, format, ModelType(type), 512)
        where = ("127.0.0.1", 20001, Secret("canary"))
        return plugin.deploy_local(
            Deployment(
                weights, options, *where, python="/env/bin/python", trust_remote_code=trusted
            )
        )

    return make


def settings(plan: Plan | None) -> dict[str, Any]:
    """What the server is told."""
    assert plan is not None
    told: dict[str, Any] = json.loads(plan.argv[2])
    return told


@pytest.mark.parametrize(
    ("type", "format"), [("embed", "gguf"), ("llm", "safetensors"), ("vlm", "safetensors")]
)
def test_other_weights_are_not_for_it(make: Make, type: str, format: str) -> None:
    assert make(type, format) is None


@pytest.mark.parametrize("type", ["embed", "cross_modal_embed", "rerank"])
def test_the_server_runs_in_the_interpreter_that_was_chosen(make: Make, type: str) -> None:
    plan = make(type, threads=3)

    assert plan is not None
    assert "/env/bin/python" == plan.argv[0]
    assert Path(plan.argv[1]).is_file()
    told = settings(plan)
    assert (type, "m", "127.0.0.1", 20001, 3, False) == tuple(
        told[name] for name in ("type", "model", "host", "port", "threads", "trust_remote_code")
    )
    assert "3" == plan.env["OMP_NUM_THREADS"] == plan.env["RAYON_NUM_THREADS"]


def test_the_token_is_in_the_environment_alone(make: Make) -> None:
    plan = make()

    assert plan is not None
    assert "canary" not in " ".join(plan.argv)
    assert "canary" in plan.env.values()


def test_code_inside_the_weights_runs_only_where_it_is_trusted(make: Make) -> None:
    assert settings(make(trusted=True))["trust_remote_code"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "jax"}, "backend must be one of 'torch', 'onnx', 'openvino', not 'jax'"),
        ({"dtype": "int8"}, "dtype must be one of 'float32', 'float16', 'bfloat16', not 'int8'"),
        ({"batch": 0}, "batch must be a whole number of at least 1, not 0"),
        ({"queue": "many"}, "queue must be a whole number of at least 1, not 'many'"),
        ({"truncate": "END"}, "truncate must be one of False, True, not 'END'"),
        ({"device": 0}, "device must be text, not 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(make: Make, options: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**options)

    assert f"sentence_transformers: {message}" == str(caught.value)


def test_an_unknown_option_is_refused_with_its_like(make: Make) -> None:
    with pytest.raises(UnknownOption) as caught:
        make(device_="cuda")

    message = "sentence_transformers has no option 'device_'; did you mean 'device'?"
    assert message == str(caught.value)


def test_memory_is_that_of_the_weights_as_they_are_computed(make: Make, tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", "F16", 1_000_000, 2)
    size = (tmp_path / "model.safetensors").stat().st_size

    on_cpu, on_gpu = make(device="cpu"), make(device="cuda")

    assert on_cpu is not None
    assert on_gpu is not None
    parts = {"weights": 2 * size, "batches": size // 2, "libraries": LIBRARIES}
    assert Memory("cpu", parts) == on_cpu.memory
    assert Memory("gpu", {"weights": size, "batches": size // 4}) == on_gpu.memory


def test_all_parts_of_the_weights_count_and_damaged_ones_as_they_are(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", "F32", 1000, 4)
    safetensors(tmp_path / "2_Dense/model.safetensors", "F32", 1000, 4)
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 100)
    whole = (tmp_path / "model.safetensors").stat().st_size

    assert 2 * whole + 100 == weights_bytes(tmp_path, 32)
    assert whole + 100 == pytest.approx(weights_bytes(tmp_path, 16), abs=2)
