"""What is free is told from the kernel's files, and compared before anything is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from modelplug.errors import EngineFailed
from modelplug.runtime import Device
from modelplug.types import Memory, Plan
from modelplug_local import runtime
from modelplug_local.engines import hardware
from modelplug_local.engines.memory import amount, lacking
from modelplug_local.testing import DEADLINE

GIB = 1024**3
CPU = Device("cpu", "2 CPUs", 16 * GIB, 4 * GIB)
GPUS = [Device("cuda", "L4", 24 * GIB, 20 * GIB), Device("cuda", "L4", 24 * GIB, 2 * GIB)]


@pytest.mark.parametrize(
    ("device", "size", "devices", "told"),
    [
        ("cpu", 4 * GIB, [CPU], ""),
        (
            "cpu",
            5 * GIB,
            [CPU, *GPUS],
            "it takes 5.5 GiB of CPU memory (weights 5.0 GiB, context cache 512 MiB), and of "
            "16.0 GiB 4.0 GiB are free",
        ),
        ("gpu", 20 * GIB, [CPU, *GPUS], ""),
        (
            "gpu",
            22 * GIB,
            [CPU, *GPUS],
            "it takes 22.5 GiB of GPU memory (weights 22.0 GiB, context cache 512 MiB), and of "
            "48.0 GiB 22.0 GiB are free",
        ),
        ("gpu", 22 * GIB, [CPU], ""),
        ("any", 25 * GIB, [CPU, *GPUS], ""),
        (
            "any",
            5 * GIB,
            [CPU],
            "it takes 5.5 GiB of memory (weights 5.0 GiB, context cache 512 MiB), and of 16.0 "
            "GiB 4.0 GiB are free",
        ),
    ],
)
def test_what_is_missing_is_told_with_the_figures(
    device: str, size: int, devices: list[Device], told: str
) -> None:
    parts = {"weights": size} | ({"context cache": GIB // 2} if told else {})

    assert told == lacking(Memory(device, parts), devices)


def test_amounts_are_never_rounded_down_to_nothing() -> None:
    assert ["0 MiB", "1 MiB", "1023 MiB", "1.0 GiB", "1.5 GiB"] == [
        amount(size) for size in (0, 1, GIB - 2**20, GIB, GIB * 3 // 2)
    ]


def test_an_engine_for_which_memory_lacks_is_not_started() -> None:
    plan = Plan(argv=["/no/such/engine"], memory=Memory("cpu", {"weights": 2**60}))
    engine = runtime.launch("huge", lambda *_: plan)

    with pytest.raises(EngineFailed) as caught:
        engine.wait(DEADLINE)

    told = str(caught.value)
    assert told.startswith(
        "engine 'huge' was not started: it takes 1073741824.0 GiB of CPU memory (weights "
        "1073741824.0 GiB), and of "
    )
    assert told.endswith(
        "are free; close programs, take smaller weights or a shorter context, or pass "
        "memory_check=False"
    )
    assert "" == engine.log_path.read_text()


# The kernel's files.


def cgroup_v2(root: Path, path: str, **files: str) -> None:
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


LIMITED = {"memory__max": "1000\n", "memory__current": "700\n"}


def limits(tmp_path: Path, groups: str) -> list[tuple[int, int]]:
    (tmp_path / "proc" / "self").mkdir(parents=True, exist_ok=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
    return list(hardware._limits(tmp_path / "proc", tmp_path / "cg"))


def test_the_limits_of_all_groups_above_count_less_what_is_cached(tmp_path: Path) -> None:
    cgroup_v2(tmp_path / "cg", "a/b", **LIMITED, memory__stat="anon 1\ninactive_file 300\n")
    cgroup_v2(tmp_path / "cg", "a", memory__max="max\n", memory__current="9\n", memory__stat="")
    cgroup_v2(tmp_path / "cg", "", memory__max="5000", memory__current="10", memory__stat="")

    assert [(1000, 400), (5000, 10)] == limits(tmp_path, "0::/a/b\n")


def test_a_container_that_sees_the_hosts_path_has_its_limit_at_the_root(tmp_path: Path) -> None:
    cgroup_v2(tmp_path / "cg", "", **LIMITED, memory__stat="inactive_file 0\n")

    assert [(1000, 700)] == limits(tmp_path, "0::/docker/1a2b\n")


def test_the_older_groups_are_read_too(tmp_path: Path) -> None:
    cgroup_v2(
        tmp_path / "cg",
        "memory/a",
        memory__limit_in_bytes="2000",
        memory__usage_in_bytes="900",
        memory__stat="total_inactive_file 100\n",
    )

    assert [(2000, 800)] == limits(tmp_path, "5:cpu,cpuacct:/x\n4:memory:/a\n")


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert [] == list(hardware._limits(tmp_path, tmp_path))


def test_what_the_cache_of_files_holds_is_free(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       16384 kB\nMemFree:         100 kB\nMemAvailable:    4096 kB\n"
        "HugePages_Total:  0\n"
    )

    assert (16384 * 1024, 4096 * 1024) == hardware._memory(tmp_path)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            "NVIDIA L4, 23034, 22500\nNVIDIA, the second, 10, 5\n",
            [
                ("NVIDIA L4", 23034 * 2**20, 22500 * 2**20),
                ("NVIDIA, the second", 10 << 20, 5 << 20),
            ],
        ),
        ("NVIDIA-SMI has failed because it couldn't communicate\n", []),
        ("exit 9", []),
    ],
    ids="two failed status".split(),
)
def test_gpus_are_those_that_the_driver_tells_of(
    answer: str,
    expected: list[tuple[str, int, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "nvidia-smi"
    body = answer if answer.startswith("exit") else f"cat <<'END'\n{answer}END\n"
    failed = "exit 9\n" if "failed" in answer else ""
    program.write_text(f"#!/bin/sh\n{body}\n{failed}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    found = [device for device in hardware.devices() if device.kind == "cuda"]

    assert expected == [(device.name, device.total, device.free) for device in found]


def test_the_cpu_of_this_machine_has_memory() -> None:
    cpu = hardware.devices()[0]

    assert "cpu" == cpu.kind
    assert 0 < cpu.free <= cpu.total
    if sys.platform == "linux":
        assert cpu.total <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
