"""`source="dynamic"` and `using`: each call is decided where it is made."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from core_helpers import Site, chat_body, chat_stream, engine, ok, streaming

import modelplug as mp
from modelplug.auto import dynamic
from modelplug.auto.dynamic import DynamicModule, in_use
from modelplug.errors import ConfigError, MissingKey, PluginNotFound
from modelplug.testing import FaultServer, Reply, Request
from modelplug.types import Text


@pytest.fixture
def echo(server: FaultServer, world: Site, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """Both providers are one server, which answers with the model and the key it was sent."""

    def answer(request: Request) -> Reply:
        key = request.headers.get("authorization", "Bearer nobody").removeprefix("Bearer ")
        said = f"{request.json['model']} {key}"
        if request.json.get("stream"):
            return streaming(chat_stream(*said))
        return ok(chat_body(said))

    server.answer_with(answer)
    monkeypatch.setenv("MODELPLUG_ACME_BASE_URL", server.url)
    monkeypatch.setenv("MODELPLUG_BETA_BASE_URL", server.url)
    return server


@pytest.fixture
def llm(echo: FaultServer) -> DynamicModule:
    made = mp.AutoModel(source="dynamic")
    assert isinstance(made, DynamicModule)
    return made


def test_each_call_is_decided_by_the_block_it_is_in(llm: DynamicModule) -> None:
    with mp.using("acme", api_key="k1"):
        first = llm("hi")
    with mp.using("beta", model="beta-7", api_key="k2"):
        second = llm("hi")

    assert ("acme-1 k1", "beta-7 k2") == (first, second)


def test_without_a_block_a_call_says_what_to_do(llm: DynamicModule) -> None:
    for use in (lambda: llm("hi"), lambda: llm.stream("hi"), lambda: llm.model):
        with pytest.raises(ConfigError) as caught:
            use()

        assert (
            "a model with source='dynamic' was used where no modelplug.using(...) is active; "
            "wrap the call in `with modelplug.using(source, api_key=...)`, in its own thread"
        ) == str(caught.value)


def test_the_block_ends_even_by_an_error(llm: DynamicModule) -> None:
    with pytest.raises(ZeroDivisionError), mp.using("acme", api_key="k"):
        raise ZeroDivisionError

    assert in_use() is None


def test_an_inner_block_changes_what_it_names(llm: DynamicModule) -> None:
    with mp.using("acme", model="acme-2", api_key="k1"):
        with mp.using(model="acme-3"):
            assert "acme-3 k1" == llm("hi")
        with mp.using(api_key="k2"):
            assert "acme-2 k2" == llm("hi")
        assert "acme-2 k1" == llm("hi")


def test_an_inner_block_for_another_source_gets_no_key_of_the_outer_one(
    llm: DynamicModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELPLUG_BETA_BASE_URL")

    with mp.using("acme", api_key="k1"), mp.using("beta"), pytest.raises(MissingKey):
        llm("hi")


def test_an_inner_block_with_another_address_gets_no_key_of_the_outer_one(
    llm: DynamicModule, server: FaultServer
) -> None:
    with mp.using("acme", api_key="k1"), mp.using(url=server.url):
        assert "acme-1 nobody" == llm("hi")


def test_a_users_key_is_never_followed_as_a_reference(
    llm: DynamicModule, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SERVER_KEY", "the-servers-own")
    for typed in ("env:SERVER_KEY", f"cmd:touch {tmp_path / 'ran'}", "file:/etc/hostname"):
        with mp.using("acme", api_key=typed):
            assert f"acme-1 {typed}" == llm("hi")

    assert not (tmp_path / "ran").exists()


def test_an_empty_key_is_no_key_and_not_the_servers(
    llm: DynamicModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "the-servers-own")
    monkeypatch.delenv("MODELPLUG_ACME_BASE_URL")

    with mp.using("acme", api_key=""), pytest.raises(MissingKey):
        llm("hi")


def test_without_a_key_the_providers_variable_counts(
    llm: DynamicModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mp.using("acme"):
        monkeypatch.setenv("ACME_API_KEY", "old")
        assert "acme-1 old" == llm("hi")
        monkeypatch.setenv("ACME_API_KEY", "new")
        assert "acme-1 new" == llm("hi")


def test_options_of_the_block_go_with_each_call(llm: DynamicModule, server: FaultServer) -> None:
    with mp.using("acme", api_key="k", temperature=0.25, seed=1):
        llm("hi", seed=2)

    body = server.requests[-1].json
    assert (0.25, 2) == (body["temperature"], body["seed"])


def test_a_stream_is_decided_where_it_is_asked_for(llm: DynamicModule) -> None:
    with mp.using("acme", api_key="k1"):
        stream, events = llm.stream("hi"), llm.events("hi")
    with mp.using("beta", api_key="k2"):
        assert "acme-1 k1" == "".join(stream)
        assert "acme-1 k1" == "".join(e.text for e in events if isinstance(e, Text))


def test_an_async_stream_is_decided_where_it_is_asked_for(llm: DynamicModule) -> None:
    async def main() -> list[str]:
        with mp.using("acme", api_key="k1"):
            stream, events = llm.astream("hi"), llm.aevents("hi")
        return [
            "".join([text async for text in stream]),
            "".join([event.text async for event in events if isinstance(event, Text)]),
        ]

    assert ["acme-1 k1"] * 2 == asyncio.run(main())


def test_tasks_do_not_see_each_others_blocks(llm: DynamicModule) -> None:
    async def one(user: int) -> str:
        with mp.using("acme" if user % 2 else "beta", api_key=f"k{user}"):
            await asyncio.sleep(0)
            said = await llm.acall("hi")
            return str(said)

    async def main() -> list[str]:
        return await asyncio.gather(*(one(user) for user in range(40)))

    expected = [f"{'acme' if user % 2 else 'beta'}-1 k{user}" for user in range(40)]
    assert expected == asyncio.run(main())


def test_a_task_made_in_a_block_keeps_it(llm: DynamicModule) -> None:
    async def main() -> str:
        with mp.using("acme", api_key="k1"):
            task = asyncio.create_task(llm.acall("hi"))
        return str(await task)

    assert "acme-1 k1" == asyncio.run(main())


def test_threads_do_not_see_each_others_blocks(llm: DynamicModule) -> None:
    together = threading.Barrier(8)

    def one(user: int) -> list[str]:
        with mp.using("acme", api_key=f"k{user}"):
            together.wait(10)
            return [llm("hi") for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(one, range(8)))

    assert [[f"acme-1 k{user}"] * 5 for user in range(8)] == said


def test_a_new_thread_begins_without_a_block_unless_it_is_given_the_context(
    llm: DynamicModule,
) -> None:
    seen: list[object] = []
    with mp.using("acme", api_key="k"):
        context = contextvars.copy_context()
        for run in (lambda: seen.append(in_use()), lambda: context.run(seen_there, seen)):
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    assert [None, "source='acme', api_key=***"] == seen


def seen_there(seen: list[object]) -> None:
    used = in_use()
    seen.append(used and used.told)


def test_a_map_is_decided_once_for_all_its_inputs(llm: DynamicModule) -> None:
    with mp.using("acme", api_key="k1"):
        assert ["acme-1 k1"] * 3 == llm.map(["a", "b", "c"], concurrency=2)


def test_views_have_their_own_prompt_and_formatter(llm: DynamicModule, server: FaultServer) -> None:
    loud = llm.share(prompt="be brief") | str.upper

    with mp.using("acme", api_key="k1"):
        assert "ACME-1 K1" == loud("hi")
        assert "be brief" == server.requests[-1].json["messages"][0]["content"]
        assert "acme-1 k1" == llm("hi")
        assert 1 == len(server.requests[-1].json["messages"])


def test_it_stands_in_a_fallback(echo: FaultServer) -> None:
    gone = mp.OnlineModule("acme-9", "acme", type="llm", api_key="k", url="http://127.0.0.1:9")
    sure = mp.fallback(gone, mp.AutoModel(source="dynamic", type="llm"))

    with mp.using("beta", api_key="k2"):
        assert "beta-1 k2" == sure("hi")


def test_connections_are_shared_by_all_users(llm: DynamicModule, server: FaultServer) -> None:
    for user in range(20):
        with mp.using("acme", api_key=f"k{user}"):
            llm("hi")

    assert 1 == len({request.connection for request in server.requests})


def test_the_models_kept_are_bounded_and_the_last_used(
    llm: DynamicModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic, "_AT_MOST", 3)
    for user in (1, 2, 3, 1, 4):
        with mp.using("acme", api_key=f"k{user}"):
            llm("hi")

    assert 3 == len(llm._kept)
    with mp.using("acme", api_key="k1"):
        first = llm._now()
        assert first.api_key is llm._now().api_key


def test_one_setting_is_one_model(llm: DynamicModule) -> None:
    for _ in range(5):
        with mp.using("acme", api_key="k"):
            llm("hi")
    with mp.using("acme", api_key="other"):
        llm("hi")

    assert 2 == len(llm._kept)
    llm.close()
    assert 0 == len(llm._kept)


def test_the_config_map_counts_too(llm: DynamicModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "k-team")
    Path("modelplug.yaml").write_text(
        "chat:\n- {id: a, source: acme, api_key: 'env:TEAM_KEY'}\n- {id: b, source: beta}\n"
    )

    with mp.using(config_id="a"):
        assert "chat k-team" == llm("hi")
    with mp.using("beta", model="chat", api_key="k2"):
        assert "chat k2" == llm("hi")
    with mp.using(model="chat"):
        assert "chat k-team" == llm("hi")


def test_an_entry_may_make_a_model_dynamic(echo: FaultServer) -> None:
    Path("modelplug.yaml").write_text("chat: {source: dynamic, name: acme-5, type: llm}\n")
    chat = mp.AutoModel("chat")

    with mp.using("acme", api_key="k"):
        assert "acme-5 k" == chat("hi")


def test_it_may_be_local(world: Site) -> None:
    engine(world)
    llm = mp.AutoModel("here-1", source="dynamic")
    assert isinstance(llm, DynamicModule)

    with mp.using("local"):
        assert "<TrainableModule 'here-1' stopped>" == repr(llm._now())


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"source": "dynamic"}, ConfigError, "using(...) decides what dynamic is; name a provider"),
        ({"type": "lmm"}, ConfigError, "'lmm' is not a model type"),
        ({"source": "acne"}, PluginNotFound, "no installed plugin provides the source 'acne'"),
    ],
)
def test_what_is_wrong_is_told(
    llm: DynamicModule, given: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught, mp.using(**given):
        llm("hi")

    assert str(caught.value).startswith(told)


def test_what_is_used_here_is_told_and_never_the_key(llm: DynamicModule) -> None:
    tell: list[Callable[[], object]] = [
        lambda: llm,
        in_use,
        lambda: mp.explain(source="dynamic"),
        lambda: mp.explain(source="dynamic").to_dict(),
    ]
    with mp.using("acme", model="acme-4", api_key="sk-secret"):
        texts = [str(each()) for each in tell]
        assert ("acme-4", "llm") == (llm.model, llm.type)
        assert llm.api_key is not None
        assert "sk-secret" == llm.api_key.reveal()

    assert "<DynamicModule '': source='acme', model='acme-4', api_key=***>" == texts[0]
    assert "  ✓ dynamic: each call asks modelplug.using(...): here source='acme', model='acme-4', api_key=***" == texts[2].splitlines()[1]  # fmt: skip  # noqa: E501
    assert [] == [text for text in texts if "sk-secret" in text]
