"""Local models, with a made-up runtime: started at the first call, stopped by the last holder."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from core_helpers import Site, chat_body, ok

import modelplug
import modelplug.plugins
from modelplug.errors import (
    BadManifest,
    ConfigError,
    EngineDied,
    EngineError,
    NoModel,
    PluginNotFound,
    TransportFailed,
    UnknownOption,
    Unsupported,
)
from modelplug.testing import FaultServer, Reply
from modelplug.types import Secret


@pytest.fixture
def world(local_world: Any, server: FaultServer) -> Any:
    """The made-up runtime's module; its engines answer from the server."""
    return local_world


def test_the_first_call_starts_the_engine_and_the_next_uses_it(
    world: Any, server: FaultServer
) -> None:
    m = modelplug.TrainableModule("mini")
    assert ("stopped", None, []) == (m.status, m.log_path, world.log)

    assert ["4", "4"] == [m("q"), m("q", top_k=3)]

    assert [
        ("find", "mini", ["gguf", "safetensors"], None, None, True),
        ("plan", ["mini", "{}", "5"]),
        "wait",
    ] == world.log
    assert ("ready", "/log") == (m.status, str(m.log_path))
    assert "Bearer engine-token" == server.requests[0].headers["authorization"]
    assert "served" == server.requests[0].json["model"]
    m.stop()
    assert "stop" == world.log[-1]


def test_an_async_call_starts_it_too(world: Any) -> None:
    m = modelplug.TrainableModule("mini")

    async def calls() -> list[str]:
        return list(await asyncio.gather(*(m.acall("q") for _ in range(5))))

    assert ["4"] * 5 == asyncio.run(calls())
    assert 1 == len(world.engines)


def test_start_and_wait_and_the_properties(world: Any, server: FaultServer) -> None:
    m = modelplug.TrainableModule("mini", type="embed", source="hub", trust_remote_code=False)

    assert m.wait() is m
    assert m.start() is m
    assert m.wait(5) is m

    assert ("embed", "mini", server.url, Secret("engine-token")) == (
        m.type, m.model, m.url, m.api_key,
    )  # fmt: skip
    assert ("find", "mini", ["gguf", "safetensors"], "embed", "hub", False) == world.log[0]
    assert "<TrainableModule 'mini' ready>" == repr(m)
    assert "engine-token" not in repr(vars(m))


def test_shares_hold_the_engine_until_the_last_is_gone(world: Any) -> None:
    m = modelplug.TrainableModule("mini").start()
    shares = [m.share(prompt=str(at)) for at in range(3)]
    piped = m | str.upper

    del m, shares
    gc.collect()
    assert "stop" not in world.log
    assert "4" == piped("q")

    del piped
    gc.collect()
    assert 1 == world.log.count("stop")


def test_the_block_of_a_model_ends_its_engine(world: Any) -> None:
    with modelplug.TrainableModule("mini") as m:
        m("q")

    assert ("stop", "stopped") == (world.log[-1], m.status)
    m.stop()
    assert 1 == world.log.count("stop")


def test_a_stopped_engine_is_started_by_the_next_call(world: Any) -> None:
    m = modelplug.TrainableModule("mini").start()
    m.stop()

    assert "4" == m("q")
    assert 2 == len(world.engines)


def test_an_engine_that_failed_is_started_anew(world: Any) -> None:
    m = modelplug.TrainableModule("mini").start()
    world.engines[0].status = "failed"

    assert "4" == m("q")
    assert 2 == len(world.engines)


def test_an_engine_that_ends_during_a_call_has_died(world: Any, server: FaultServer) -> None:
    server.answer(ok().but(close_after=3))
    m = modelplug.TrainableModule("mini").start()
    engine = world.engines[0]

    def crash(_: object) -> Reply:
        engine.status = "restarting"
        return ok().but(close_after=3)

    server.answer_with(crash)

    with pytest.raises(EngineDied) as caught:
        m("q")

    assert str(caught.value).startswith(
        "the engine of 'mini' ended during the call and is restarting; "
    )
    assert ("/log", True) == (caught.value.log_path, caught.value.retryable)
    assert isinstance(caught.value.__cause__, TransportFailed)


def test_a_broken_connection_to_an_engine_that_lives_is_no_death(
    world: Any, server: FaultServer
) -> None:
    server.answer(ok().but(close_after=3))

    with pytest.raises(TransportFailed):
        modelplug.TrainableModule("mini")("q")


def test_an_engine_is_chosen_and_given_options(world: Any) -> None:
    for engine in (modelplug.deploy.quick, "quick"):
        m = modelplug.TrainableModule("mini").deploy_method(engine, threads=2)
        m.start()
        assert ("plan", ["mini", "{'threads': 2}", "5"]) in world.log
        m.stop()
        world.log.clear()


def test_a_running_server_is_attached_to(world: Any, server: FaultServer) -> None:
    server.answer(ok(chat_body("5")))
    m = modelplug.TrainableModule("mini").deploy_method(
        "quick", url=server.url + "/", api_key="sk-own"
    )

    assert ("5", "attached", "llm", server.url) == (m("q"), m.status, m.type, m.url)
    assert "Bearer sk-own" == server.requests[0].headers["authorization"]
    assert "mini" == server.requests[0].json["model"]
    assert [] == world.log


@pytest.mark.parametrize(
    ("call", "kind", "told"),
    [
        (lambda m: m.deploy_method("quick", thraeds=2).start(), UnknownOption, "quick has no option 'thraeds' (it has: threads, python, start_timeout, idle_timeout, memory_check); did you mean 'threads'?"),
        (lambda m: m.deploy_method(5), ConfigError, "deploy_method takes deploy.<engine>, not 5"),
        (lambda m: m.deploy_method("quick", api_key="k"), ConfigError, "api_key= is for attaching with url=; an engine started here makes its own"),
        (lambda m: m.deploy_method("qiuck"), PluginNotFound, "no installed plugin provides the engine 'qiuck'"),
        (lambda m: m.start().deploy_method("quick"), ConfigError, "'mini' is already served; stop() it first"),
    ],
    ids="option object key name served".split(),
)  # fmt: skip
def test_what_is_wrong_with_a_deployment_is_told(
    world: Any, call: Callable[[Any], object], kind: type[Exception], told: str
) -> None:
    m = modelplug.TrainableModule("mini")

    with pytest.raises(kind) as caught:
        call(m)

    assert str(caught.value).startswith(told)


def test_weights_that_the_engine_cannot_serve_are_unsupported(world: Any) -> None:
    with pytest.raises(Unsupported) as caught:
        modelplug.TrainableModule("impossible").start()

    assert "quick cannot serve 'impossible' (gguf, llm)" == str(caught.value)


def test_no_engine_for_the_type_is_no_model(world: Any) -> None:
    with pytest.raises(NoModel) as caught:
        modelplug.TrainableModule("mini", type="rerank").start()

    assert str(caught.value).startswith(
        "no installed engine can serve 'mini': quick: serves llm, embed, tts, not rerank; "
        "pip install modelplug-llama-cpp or pip install "
    )


def test_an_engine_without_a_table_is_a_bad_manifest(world: Any, site: Site) -> None:
    (site.folder / "site_quick" / "modelplug.toml").write_text("")
    modelplug.plugins.forget()

    with pytest.raises(NoModel, match="quick: site_quick: modelplug.toml has no table"):
        modelplug.TrainableModule("mini").start()
    with pytest.raises(BadManifest):
        modelplug.TrainableModule("mini").deploy_method("quick")


def test_a_model_that_is_stopped_while_it_starts_is_an_error(world: Any) -> None:
    m = modelplug.TrainableModule("mini")
    world.while_waiting.append(m.stop)

    with pytest.raises(EngineError) as caught:
        m("q")

    assert "the engine of 'mini' was stopped while it was being called" == str(caught.value)


def test_plugins_are_attributes_of_their_group(world: Any) -> None:
    assert ("deploy_local", "quick") == (modelplug.deploy.quick.group, modelplug.deploy.quick.name)
    assert ["quick"] == dir(modelplug.deploy)
    assert not hasattr(modelplug.deploy, "__wrapped__")
    assert not hasattr(modelplug.formatter, "__wrapped__")
    with pytest.raises(PluginNotFound, match="did you mean 'quick'"):
        modelplug.deploy.quik  # noqa: B018 - the access is the point


def test_formatters_are_found_by_either_name(world: Any, site: Site) -> None:
    site.module("site_form", "class LoudFormatter: pass\n")
    site.metadata("modelplug-form", "[modelplug.format]\nloud = site_form:LoudFormatter\n")
    modelplug.plugins.forget()

    assert modelplug.formatter.LoudFormatter is modelplug.formatter.loud
    assert "LoudFormatter" in dir(modelplug.formatter)
    with pytest.raises(PluginNotFound):
        modelplug.formatter.NopeFormatter  # noqa: B018 - the access is the point
