"""Which engine is taken for what, and what is asked of it."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

from typing import Any

import pytest
from core_helpers import Site
from local_world import add_engine

import modelplug
from modelplug.catalog import EngineTraits
from modelplug.errors import ConfigError, EngineError, NoModel
from modelplug.local.engines import Fit, installable, judge, survey
from modelplug.plugins import installed
from modelplug.types import Memory, ModelType

GGUF = EngineTraits(title="G", formats=["gguf"], types=["llm", "embed"])
TORCH = EngineTraits(
    title="T", formats=["safetensors"], types=["llm", "rerank"], devices=["cuda"], rank=50
)
SMALL = EngineTraits(title="S", formats=["gguf", "safetensors"], types=["embed"], rank=200)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["torch: runs on cuda, and there is none here", "gguf ✓ takes gguf, serves llm, embed, runs on cpu", "small ✓ takes gguf, safetensors, serves embed, runs on cpu"]),
        ({"format": "gguf", "type": ModelType.EMBED}, ["torch: takes safetensors, not gguf", "gguf ✓ takes gguf, serves embed, runs on cpu", "small ✓ takes gguf, serves embed, runs on cpu"]),
        ({"type": ModelType.RERANK, "devices": ["cpu", "cuda"]}, ["torch ✓ takes safetensors, serves rerank, runs on cuda", "gguf: serves llm, embed, not rerank", "small: serves embed, not rerank"]),
        ({"type": ModelType.EMBED, "absent": {"gguf": "pip install g"}}, ["torch: serves llm, rerank, not embed", "gguf: pip install g", "small ✓ takes gguf, safetensors, serves embed, runs on cpu"]),
    ],
    ids="nothing-known format-and-type gpu packages".split(),
)  # fmt: skip
def test_each_engine_is_judged_in_the_order_of_its_rank(
    asked: dict[str, Any], expected: list[str]
) -> None:
    fits = judge({"gguf": GGUF, "small": SMALL, "torch": TORCH}, **asked)

    assert expected == [f"{f.engine} ✓ {f.why}" if f.fits else f"{f.engine}: {f.why}" for f in fits]


def test_equal_ranks_are_tried_by_name() -> None:
    assert ["a", "b"] == [fit.engine for fit in judge({"b": GGUF, "a": GGUF})]


def test_the_engine_of_the_lowest_rank_that_fits_is_started(local_world: Any, site: Site) -> None:
    world = local_world
    add_engine(site, "better", rank=10)
    world.absent["better"] = "the packages of 'better' are missing; modelplug engine install better"

    fits = survey(installed(), type=ModelType.LLM)
    modelplug.TrainableModule("mini").start().stop()
    world.absent.clear()
    modelplug.TrainableModule("mini").start()

    assert [("better", False), ("quick", True)] == [(fit.engine, fit.fits) for fit in fits]
    assert ["quick", "better"] == [plan.env["ENGINE"] for plan, _ in world.plans]


def test_an_engine_that_does_not_serve_the_type_has_no_say_in_the_format(
    local_world: Any, site: Site
) -> None:
    add_engine(site, "better", rank=10, formats=["onnx"])

    modelplug.TrainableModule("mini-embed").start()

    assert ("find", "mini-embed", ["gguf", "safetensors"], None, None, True) in local_world.log


def test_an_engine_without_its_packages_says_what_to_type(local_world: Any) -> None:
    told = "the packages of 'quick' are missing; modelplug engine install quick"
    local_world.absent["quick"] = told

    with pytest.raises(NoModel) as chosen:
        modelplug.TrainableModule("mini").start()
    with pytest.raises(ConfigError) as named:
        modelplug.TrainableModule("mini").deploy_method("quick").start()

    assert str(chosen.value).startswith(
        f"no installed engine can serve 'mini': quick: {told}; pip install "
    )
    assert told == str(named.value)
    assert [] == local_world.engines


def test_without_any_engine_those_to_install_are_named(
    local_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELPLUG_BLOCK", "quick")
    modelplug.plugins.forget()

    with pytest.raises(NoModel) as caught:
        modelplug.TrainableModule("mini").start()

    assert str(caught.value).startswith(
        "'mini' needs an engine and none is installed; pip install "
    )
    assert "pip install modelplug-llama-cpp" in str(caught.value)


def test_what_could_be_installed_is_told_by_format_and_type(local_world: Any) -> None:
    found = installable(installed(), format="gguf", type=ModelType.LLM)

    assert Fit("llama_cpp", False, "pip install modelplug-llama-cpp") in found
    assert [] == installable(installed(), format="gguf", type=ModelType.TTS)


def test_the_options_of_every_engine_are_not_the_plugins(local_world: Any) -> None:
    m = modelplug.TrainableModule("mini").deploy_method(
        "quick", threads=2, python="/other", start_timeout=7, idle_timeout=60
    )

    m.start()

    plan, asked = local_world.plans[0]
    assert ("{'threads': 2}", "/other", 7) == (plan.argv[1], plan.env["PYTHON"], plan.start_timeout)
    assert 60 == asked["idle_timeout"]


@pytest.mark.parametrize("option", ["start_timeout", "idle_timeout"])
@pytest.mark.parametrize("value", [0, -1, "5", True])
def test_a_time_that_is_no_time_is_refused_at_once(
    local_world: Any, option: str, value: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        modelplug.TrainableModule("mini").deploy_method("quick", **{option: value})

    assert f"{option} is a number of seconds above 0, not {value!r}" == str(caught.value)


def test_memory_is_not_looked_at_where_the_caller_says_so(local_world: Any) -> None:
    for options in ({}, {"memory_check": False}):
        modelplug.TrainableModule("mini").deploy_method("quick", **options).start()

    assert [Memory("cpu", {"weights": 1}), None] == [plan.memory for plan, _ in local_world.plans]


def test_only_true_lets_code_in_weights_run(local_world: Any) -> None:
    for trust in (True, None):
        modelplug.TrainableModule("mini", trust_remote_code=trust).start()

    assert ["True", "False"] == [plan.env["TRUSTED"] for plan, _ in local_world.plans]


def keys(world: Any, *modules: Any) -> list[str]:
    world.plans.clear()
    for module in modules:
        module.start()
    return [asked["key"] for _, asked in world.plans]


def test_the_same_is_asked_for_by_the_same_key(local_world: Any) -> None:
    new = modelplug.TrainableModule
    one, same, other, times, with_options = keys(
        local_world,
        new("mini"),
        new("mini").deploy_method("quick"),
        new("mini", type="embed"),
        new("mini").deploy_method("quick", start_timeout=5, idle_timeout=5, memory_check=False),
        new("mini").deploy_method("quick", threads=1),
    )

    assert one == same == times
    assert 3 == len({one, other, with_options})
    assert 32 == len(one)


def test_secrets_in_options_tell_keys_apart_and_are_not_in_them(local_world: Any) -> None:
    asked = [modelplug.types.Secret("a"), modelplug.types.Secret("b")]
    one, other = keys(
        local_world,
        *(modelplug.TrainableModule("mini").deploy_method("quick", threads=it) for it in asked),
    )

    assert one != other


def test_an_engine_takes_the_place_of_another(local_world: Any) -> None:
    m, tuned = modelplug.TrainableModule("mini").start(), modelplug.TrainableModule("tuned").start()
    share, (old, new) = m.share(), local_world.engines

    m._local.become(tuned._local)

    assert ("stopped", "ready", "tuned") == (old.status, new.status, share.model)
    assert "stopped" == tuned.status
    tuned.stop()
    assert "ready" == share.status


def test_a_call_on_an_engine_that_was_unloaded_waits_for_it(local_world: Any) -> None:
    m = modelplug.TrainableModule("mini").start()
    local_world.engines[0].status = "unloaded"

    assert "4" == m("q")
    assert (1, 2) == (len(local_world.engines), local_world.log.count("wait"))


def test_stopping_while_it_is_called_is_an_error_of_the_engine(local_world: Any) -> None:
    m = modelplug.TrainableModule("mini")
    local_world.while_waiting.append(m.stop)

    with pytest.raises(EngineError, match="was stopped while it was being called"):
        _ = m.url
