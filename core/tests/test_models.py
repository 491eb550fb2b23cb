"""Model objects: every way to call one, and what each view of it has of its own."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from attrs import frozen
from core_helpers import (
    KEY,
    Site,
    chat_body,
    chat_stream,
    delta,
    failing,
    ok,
    provider,
    sse,
    streaming,
)

import modelplug
import modelplug.plugins
from modelplug.errors import (
    AuthRefused,
    ConfigError,
    FormatError,
    MissingKey,
    NoModel,
    PluginBroken,
    PluginNotFound,
    QuotaExhausted,
    TimedOut,
    TransportFailed,
    UnknownOption,
    Unsupported,
)
from modelplug.tasks import View
from modelplug.testing import FaultServer, Reply
from modelplug.types import (
    Completion,
    Finish,
    Ranking,
    Secret,
    Text,
    Timeouts,
    Usage,
)

Make = Callable[..., modelplug.OnlineModule]


@pytest.fixture
def make(site: Site, server: FaultServer) -> Make:
    """`make(**options)` gives a model of a made-up provider behind the server."""
    site.plugin("acme")

    def made(model: str | None = None, **options: Any) -> modelplug.OnlineModule:
        given = {"source": "acme", "url": server.url, "api_key": KEY} | options
        return modelplug.OnlineModule(model, **given)

    return made


def sent(server: FaultServer, at: int = -1) -> Any:
    """The JSON of one request."""
    return server.requests[at].json


def echoing(server: FaultServer) -> None:
    """Let the server answer with the last message of the request."""
    server.answer_with(lambda request: ok(chat_body(request.json["messages"][-1]["content"])))


# Construction.


def test_a_model_tells_what_it_is_and_not_its_key(make: Make, server: FaultServer) -> None:
    m = make()

    assert ("llm", "acme-1", server.url, "acme") == (m.type, m.model, m.url, m.source)
    assert Secret(KEY) == m.api_key
    assert f"<OnlineModule acme:acme-1 (llm) at {server.url}>" == repr(m)
    assert KEY not in repr(vars(m))
    assert 0 == server.connections


@pytest.mark.parametrize(
    ("model", "type_", "decided"),
    [
        (None, None, ("acme-1", "llm")),
        (None, "embed", ("acme-embed", "embed")),
        ("acme-embed-2", None, ("acme-embed-2", "embed")),
        ("acme-rerank-2", None, ("acme-rerank-2", "rerank")),
        ("unheard-of", None, ("unheard-of", "llm")),
        ("unheard-of", "rerank", ("unheard-of", "rerank")),
    ],
)
def test_the_type_is_told_by_the_argument_then_by_the_patterns(
    make: Make, model: str | None, type_: str | None, decided: tuple[str, str]
) -> None:
    m = make(model, type=type_)

    assert decided == (m.model, m.type)


def test_another_providers_pattern_tells_the_type(make: Make, site: Site) -> None:
    site.plugin("beta")
    modelplug.plugins.forget()

    assert "embed" == make("beta-embed-large").type


def test_a_resolver_is_asked_where_no_pattern_tells(make: Make, site: Site) -> None:
    source = """
        from modelplug import hookimpl, ModelType
        class Resolver:
            @hookimpl
            def resolve_type(self, model):
                return ModelType.RERANK if model == "mystery" else None
        plugin = Resolver()
    """
    site.plugin("guess", group="resolve_type", source=source, manifest="")
    modelplug.plugins.forget()

    assert "rerank" == make("mystery").type
    assert "llm" == make("other").type


@pytest.mark.parametrize(
    ("group", "manifest", "source"),
    [("create_online", "nonsense", ""), ("resolve_type", "", "raise RuntimeError('boom')")],
    ids=["manifest", "resolver"],
)
def test_a_broken_plugin_is_an_error_for_its_own_name_only(
    make: Make, site: Site, group: str, manifest: str, source: str
) -> None:
    site.plugin("bad", group=group, manifest=manifest, source=source)
    modelplug.plugins.forget()

    assert "llm" == make("unheard-of").type


def test_a_provider_without_the_type_is_unsupported(make: Make) -> None:
    with pytest.raises(Unsupported) as caught:
        make(type="tts")

    assert "acme has no models of type tts (it has: llm, embed, rerank)" == str(caught.value)


def test_a_provider_whose_codec_lacks_the_type_is_unsupported(site: Site) -> None:
    source = """
        from modelplug import hookimpl
        class Plugin:
            @hookimpl
            def create_online(self): return None
        plugin = Plugin()
    """
    site.plugin("none", source=source)

    with pytest.raises(Unsupported) as caught:
        modelplug.OnlineModule(source="none", api_key="k")

    assert "none has no models of type llm" == str(caught.value)


def test_a_missing_key_names_the_variables() -> None:
    with pytest.raises(MissingKey) as caught:
        modelplug.OnlineModule(source="openai")

    assert (
        "openai needs a key and OPENAI_API_KEY and MODELPLUG_OPENAI_API_KEY are not set; "
        "set one of them or pass api_key=... (get one at https://platform.openai.com/api-keys)"
    ) == str(caught.value)


@pytest.mark.parametrize("blank", ["", " "], ids=repr)
def test_a_blank_key_is_a_missing_key(blank: str) -> None:
    with pytest.raises(MissingKey):
        modelplug.OnlineModule(source="openai", api_key=blank)


def test_a_server_of_ones_own_needs_no_key(site: Site, server: FaultServer) -> None:
    site.plugin("acme")
    server.answer(ok())

    m = modelplug.OnlineModule(source="acme", url=server.url + "/")

    assert (None, server.url, "4") == (m.api_key, m.url, m("2+2?"))
    assert "authorization" not in server.requests[0].headers


def test_a_provider_without_an_address_asks_for_one(site: Site) -> None:
    site.plugin("own", manifest=provider("own", url=""))

    with pytest.raises(ConfigError) as caught:
        modelplug.OnlineModule(source="own")

    assert "own has no address of its own; pass url=" == str(caught.value)


@pytest.mark.parametrize(
    ("optional", "url", "reached"),
    [
        (True, "http://h.test", "http://h.test/v1"),
        (True, "http://h.test/", "http://h.test/v1"),
        (True, "http://h.test/v1/", "http://h.test/v1"),
        (True, "http://h.test/own", "http://h.test/own"),
        (False, "http://h.test", "http://h.test"),
    ],
)
def test_a_host_alone_gets_the_path_where_that_may_be_left_out(
    optional: bool, url: str, reached: str, site: Site
) -> None:
    manifest = provider("acme")
    if optional:
        manifest = manifest.replace('title = "acme"', 'title = "acme"\npath-optional = true')
    site.plugin("acme", manifest=manifest)

    assert reached == modelplug.OnlineModule(source="acme", url=url).url


def test_a_region_is_another_address(site: Site) -> None:
    regions = '[create_online.acme.regions]\nintl = "https://intl.test/v1/"\n'
    site.plugin("acme", manifest=provider("acme") + regions)

    m = modelplug.OnlineModule(source="acme", region="intl", api_key="k")

    assert "https://intl.test/v1" == m.url
    with pytest.raises(ConfigError) as caught:
        modelplug.OnlineModule(source="acme", region="int", api_key="k")
    assert "acme has no region 'int' (it has: intl); did you mean 'intl'?" == str(caught.value)
    with pytest.raises(MissingKey):
        modelplug.OnlineModule(source="acme", region="intl")


def test_the_one_provider_with_a_key_is_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("acme")
    site.plugin("beta")
    monkeypatch.setenv("BETA_API_KEY", "k")

    assert "beta" == modelplug.OnlineModule().source


def test_without_a_source_and_a_key_each_provider_is_listed(site: Site) -> None:
    site.plugin("acme")

    with pytest.raises(NoModel) as caught:
        modelplug.OnlineModule("acme-7")

    told = str(caught.value)
    assert told.startswith("no provider has a key for 'acme-7' (")
    assert "acme: claims the model and has no key" in told
    assert told.endswith("; name one with source=")


def test_a_source_that_is_not_installed_names_the_near(site: Site) -> None:
    site.plugin("acme")

    with pytest.raises(PluginNotFound, match="did you mean 'acme'"):
        modelplug.OnlineModule(source="acne")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temprature": 1}, "acme has no option 'temprature'; did you mean 'temperature'? what it alone knows goes into extra_body={'temprature': ...}"),
        ({"zzz": 1}, "acme has no option 'zzz'; what it alone knows goes into extra_body={'zzz': ...}"),
        ({"filse": []}, "acme has no option 'filse'; did you mean 'files'? what it alone knows goes into extra_body={'filse': ...}"),
    ],
)  # fmt: skip
def test_an_unknown_option_is_refused_with_the_near_match(
    make: Make, options: dict[str, Any], told: str, server: FaultServer
) -> None:
    for call in (lambda: make(**options), lambda: make()("hi", **options)):
        with pytest.raises(UnknownOption) as caught:
            call()
        assert told == str(caught.value)
    assert 0 == server.connections


@pytest.mark.parametrize("value", ["2", -1, 1.5, True], ids=repr)
def test_a_number_of_retries_that_is_none_is_refused(make: Make, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        make(max_retries=value)

    assert f"max_retries= takes a whole number from 0, not {value!r}" == str(caught.value)


@pytest.mark.parametrize("value", ["soon", [], object], ids=str)
def test_a_timeout_that_is_none_is_refused(make: Make, value: Any) -> None:
    for call in (lambda: make(timeout=value), lambda: make()("hi", timeout=value)):
        with pytest.raises(ConfigError) as caught:
            call()
        assert f"timeout= takes seconds or modelplug.Timeouts, not {value!r}" == str(caught.value)


@pytest.mark.parametrize("stream", [{"color": "mauve"}, {"colour": "red"}, "blue", 5], ids=repr)
def test_a_stream_setting_that_is_none_is_refused(make: Make, stream: Any) -> None:
    for call in (
        lambda: make(stream=stream),
        lambda: make().share(stream=stream),
        lambda: make()("hi", stream=stream),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value).startswith("stream= takes True or {'color': one of black, red")


def test_a_key_in_the_address_is_refused_and_not_shown(make: Make) -> None:
    with pytest.raises(ConfigError) as caught:
        make(url=f"https://user:{KEY}@acme.test/v1")

    assert KEY not in str(caught.value)


# Calls.


def test_a_call_gives_the_text_and_sends_the_question(make: Make, server: FaultServer) -> None:
    server.answer(ok())

    assert "4" == make(temperature=0)("2+2?", max_tokens=5)

    assert {
        "model": "acme-1",
        "messages": [{"role": "user", "content": "2+2?"}],
        "temperature": 0,
        "max_tokens": 5,
    } == sent(server)


def test_every_face_gives_the_same(make: Make, server: FaultServer) -> None:
    server.answer_with(
        lambda request: (
            streaming(chat_stream("a", "b")) if request.json.get("stream") else ok(chat_body("ab"))
        )
    )
    m = make()

    async def faces() -> list[Any]:
        return [
            await m.acall("q"),
            (await m.arespond("q")).text,
            "".join([text async for text in m.astream("q")]),
            "".join([e.text async for e in m.aevents("q") if isinstance(e, Text)]),
            (await m.amap(["q"]))[0],
            await m.acall("q", stream=True),
        ]

    assert ["ab"] * 6 == asyncio.run(faces())
    assert ["ab"] * 6 == [
        m("q"),
        m.respond("q").text,
        "".join(m.stream("q")),
        "".join(e.text for e in m.events("q") if isinstance(e, Text)),
        m.map(["q"])[0],
        m("q", stream=True),
    ]


def test_the_events_end_with_one_finish(make: Make, server: FaultServer) -> None:
    server.answer(streaming(chat_stream("a")))

    events = list(make().events("q"))

    assert ["text", "usage", "finish"] == [event.kind for event in events]
    assert Finish("stop", "", "c1") == events[-1]


def test_an_option_that_is_none_is_left_out_and_extra_body_goes_in(
    make: Make, server: FaultServer
) -> None:
    server.answer(ok())

    make(temperature=0.5)("q", temperature=None, extra_body={"top_k": 3})

    assert 3 == sent(server)["top_k"]
    assert "temperature" not in sent(server)
    assert "extra_body" not in sent(server)


@pytest.mark.parametrize("extra", [None, 5, "x", [1]], ids=repr)
def test_an_extra_body_that_is_no_mapping_is_refused(make: Make, extra: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make()("q", extra_body=extra)

    assert f"extra_body= takes a mapping, not {extra!r}" == str(caught.value)


def test_what_the_provider_does_not_do_is_unsupported(site: Site, server: FaultServer) -> None:
    manifest = provider("plain").replace('["stream", "tools", "image-input"]', "[]")
    site.plugin("plain", manifest=manifest)
    m = modelplug.OnlineModule(source="plain", url=server.url)

    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: m("q", tools=[{}]), "tools"),
        (lambda: m("q", files=[b""]), "image-input"),
        (lambda: list(m.stream("q")), "stream"),
    ]
    for call, what in calls:
        with pytest.raises(Unsupported) as caught:
            call()
        assert f"plain does not do {what} with 'plain-1'" == str(caught.value)
    assert 0 == server.connections


def test_tools_are_sent_and_calls_come_back(make: Make, server: FaultServer) -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": '{"x":1}'}}]
    choice = {"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}
    server.answer(ok(json.dumps({"choices": [choice]}).encode()))
    tools = [{"type": "function", "function": {"name": "f"}}]

    result = make().respond("q", tools=tools)

    assert tools == sent(server)["tools"]
    assert ("f", {"x": 1}) == (result.tool_calls[0].name, result.tool_calls[0].arguments)


def test_usage_is_reported_or_estimated_and_marked(make: Make, server: FaultServer) -> None:
    bare = json.dumps({"choices": [{"message": {"content": "four"}}]}).encode()
    server.answer(ok(), ok(bare), streaming(chat_stream("four")))
    m = make()
    guessed = Usage(6, 1, 7, estimated=frozenset({"input_tokens", "output_tokens", "total_tokens"}))

    assert Usage(14, 5, 19) == m.respond("12345678").usage
    assert guessed == m.respond("12345678").usage
    assert guessed == next(e for e in m.events("12345678") if isinstance(e, Usage))


def test_characters_beyond_latin_count_one_token_each(make: Make, server: FaultServer) -> None:
    server.answer(ok(json.dumps({"choices": [{"message": {"content": "你好!"}}]}).encode()))

    usage = make().respond("你好").usage

    assert (6, 3) == (usage.input_tokens, usage.output_tokens)


def test_a_stream_that_breaks_carries_the_text_so_far(make: Make, server: FaultServer) -> None:
    body = sse(delta(content="a"), delta(content="b"), done=False)
    server.answer(streaming(body, close_after=len(body)))
    seen: list[str] = []

    with pytest.raises(TransportFailed) as caught:
        seen.extend(make().stream("q"))

    assert (["a", "b"], "ab") == (seen, caught.value.partial)


def test_leaving_a_stream_lets_the_next_call_work(make: Make, server: FaultServer) -> None:
    server.answer(
        streaming([sse(delta(content="a"), done=False), threading.Event()]),
        streaming([sse(delta(content="a"), done=False), threading.Event()]),
        ok(),
    )
    m = make()

    for text in m.stream("q"):
        assert "a" == text
        break

    async def leave() -> None:
        async for text in m.astream("q"):
            assert "a" == text
            break

    asyncio.run(leave())
    assert "4" == m("q")


def test_a_timeout_in_seconds_is_the_total(make: Make, server: FaultServer) -> None:
    server.answer(ok().but(gate=threading.Event()))

    calls: list[Callable[[], object]] = [
        lambda: make()("q", timeout=0.1),
        lambda: make(timeout=0.1)("q"),
    ]
    for call in calls:
        with pytest.raises(TimedOut) as caught:
            call()
        assert "total" == caught.value.limit


def test_four_limits_may_be_given(make: Make, server: FaultServer) -> None:
    server.answer(ok().but(gate=threading.Event()))

    with pytest.raises(TimedOut) as caught:
        make(max_retries=0)("q", timeout=Timeouts(first_byte=0.1))

    assert "first_byte" == caught.value.limit
    with pytest.raises(TimedOut):
        make(max_retries=0, timeout=Timeouts(first_byte=0.1))("q")


def test_a_number_of_retries_is_one_more_attempt_each(make: Make, server: FaultServer) -> None:
    server.answer(failing(503), failing(503), ok())

    assert "4" == make(max_retries=2)("q")
    assert 3 == len(server.requests)


def test_a_refused_key_is_tried_once(make: Make, server: FaultServer) -> None:
    server.answer(failing(401))

    with pytest.raises(AuthRefused):
        make()("q")

    assert 1 == len(server.requests)


def test_the_next_key_is_used_where_one_is_used_up(make: Make, server: FaultServer) -> None:
    server.answer_with(
        lambda request: (
            ok()
            if request.headers["authorization"] == "Bearer second"
            else failing(429, b'{"error":{"code":"insufficient_quota","message":"m"}}')
        )
    )
    m = make(api_key=["first", "second"])

    assert ["4", "4"] == [m("q"), m("q")]
    assert ["Bearer first", "Bearer second", "Bearer second"] == [
        request.headers["authorization"] for request in server.requests
    ]


def test_one_key_that_is_used_up_is_an_error(make: Make, server: FaultServer) -> None:
    server.answer(failing(429, b'{"error":{"code":"insufficient_quota","message":"m"}}'))

    with pytest.raises(QuotaExhausted):
        make()("q")


# Many.


def test_many_answers_come_in_order(make: Make, server: FaultServer) -> None:
    echoing(server)
    told: list[tuple[int, int]] = []
    questions = [f"q{at}" for at in range(20)]
    m = make()

    assert questions == m.map(iter(questions), concurrency=3)
    assert questions == asyncio.run(
        m.amap(questions, progress=lambda done, total: told.append((done, total)))
    )
    assert [(at + 1, 20) for at in range(20)] == told
    assert [] == m.map([])


def test_many_answers_pass_through_the_formatter(make: Make, server: FaultServer) -> None:
    echoing(server)

    assert ["A", "B"] == (make() | str.upper).map(["a", "b"], temperature=0)
    assert 0 == sent(server)["temperature"]


def test_progress_is_counted_on_a_terminal_alone(
    make: Make, server: FaultServer, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    echoing(server)
    m = make()
    m.map(["a"])
    assert "" == capsys.readouterr().err

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    m.map(["a", "b"], concurrency=1)

    assert "\r1/2\r2/2\n" == capsys.readouterr().err


# Views.


def test_a_prompt_stands_before_each_question(make: Make, server: FaultServer) -> None:
    server.answer(ok())
    m = make().prompt({"system": "You know {topic}.", "user": "{topic}? {q}"}, [["a", "b"]])

    m({"topic": "art", "q": "why"})

    assert ["You know art.", "a", "b", "art? why"] == [
        message["content"] for message in sent(server)["messages"]
    ]
    m.prompt("Brief.")("q")
    assert ["Brief.", "a", "b", "q"] == [each["content"] for each in sent(server)["messages"]]
    m.prompt(history=[])("q")
    assert ["q"] == [each["content"] for each in sent(server)["messages"]]


def test_the_history_of_one_call_stands_in_for_the_views(make: Make, server: FaultServer) -> None:
    server.answer(ok())

    make().prompt("s", [["a", "b"]])("q", llm_chat_history=[["x", "y"]])

    assert ["s", "x", "y", "q"] == [each["content"] for each in sent(server)["messages"]]


@pytest.mark.parametrize("history", [[{"role": "user", "content": "q"}], ["ab"], [["a"]]], ids=repr)
def test_a_history_of_anything_but_pairs_is_refused(make: Make, history: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: make().prompt("s", history)("q"),
        lambda: make().share(history=history)("q"),
        lambda: make()("q", llm_chat_history=history),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="the history is a list of"):
            call()


def test_a_share_has_nothing_in_common_but_the_model(make: Make, server: FaultServer) -> None:
    echoing(server)
    history = [["q", "a"]]
    m = make(temperature=0.5).prompt("mine", history).formatter(str.upper)

    other = m.share(prompt="other", history=[], format=str.title)
    same = m.share()
    m.prompt("changed")
    history[0][0] = "changed"
    history.append(["x", "y"])

    assert ("Hi", "HI", "HI") == (other("hi"), same("hi"), m("hi"))
    assert [["other", "hi"], ["mine", "q", "a", "hi"], ["changed", "q", "a", "hi"]] == [
        [message["content"] for message in sent(server, at)["messages"]] for at in range(3)
    ]
    assert [0.5] * 3 == [sent(server, at)["temperature"] for at in range(3)]
    assert m.model == other.model
    assert "acme" == other.source


def test_a_hundred_shares_in_ten_threads_do_not_mix(make: Make, server: FaultServer) -> None:
    server.answer_with(
        lambda request: ok(
            chat_body("|".join(message["content"] for message in request.json["messages"]))
        )
    )
    m = make()

    def use(at: int) -> str:
        share = m.share(prompt=f"s{at}", history=[[f"a{at}", f"b{at}"]])
        return str((share | (lambda text: f"{at}:{text}"))(f"q{at}"))

    async def ause(at: int) -> str:
        share = m.share(prompt=f"s{at}", history=[[f"a{at}", f"b{at}"]])
        return str(await (share | (lambda text: f"{at}:{text}")).acall(f"q{at}"))

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(ause, range(100)))

    with ThreadPoolExecutor(10) as pool:
        threads = list(pool.map(use, range(100)))

    expected = [f"{at}:s{at}|a{at}|b{at}|q{at}" for at in range(100)]
    assert expected == threads
    assert expected == asyncio.run(all_of_them())


def test_pipes_are_applied_in_order_and_leave_the_model_alone(
    make: Make, server: FaultServer
) -> None:
    echoing(server)
    m = make()

    chained = m | str.split | len

    assert (3, ["a", "b", "c"], "a b c") == (chained("a b c"), (m | str.split)("a b c"), m("a b c"))
    with pytest.raises(TypeError):
        m | 5  # type: ignore[operator]  # what is refused


def test_formatters_chain_among_themselves(make: Make, server: FaultServer, site: Site) -> None:
    echoing(server)

    class Exclaim(modelplug.Formatter):
        def format(self, value: Any) -> Any:
            return f"{value}!"

    assert "A!!" == (make() | (Exclaim() | str.upper | Exclaim()))("a")
    assert "a!" == make().formatter(Exclaim())("a")
    with pytest.raises(NotImplementedError):
        modelplug.Formatter()("a")


def test_a_formatter_may_be_taken_away(make: Make, server: FaultServer) -> None:
    echoing(server)

    assert "a" == (make() | str.upper).formatter(None)("a")


def test_a_model_is_a_context_manager(make: Make, server: FaultServer) -> None:
    server.answer(ok())

    with make() as m:
        assert "4" == m("q")


# Echo.


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_call_that_streams_echoes_the_text_and_returns_the_whole(
    make: Make, server: FaultServer, capsys: pytest.CaptureFixture[str], asynchronous: bool
) -> None:
    server.answer(streaming(chat_stream("a", "b")))
    m = make(stream=True)

    whole = asyncio.run(m.acall("q")) if asynchronous else m("q")

    assert ("ab", "ab\n") == (whole, capsys.readouterr().out)
    assert sent(server)["stream"] is True


def test_an_echo_is_painted_on_a_terminal_alone(
    make: Make, server: FaultServer, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server.answer(streaming(chat_stream("a", "b")))
    m = make(stream={"color": "blue"})
    m("q")
    assert "ab\n" == capsys.readouterr().out

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    m("q")

    assert "\033[34mab\n\033[0m" == capsys.readouterr().out


def test_an_echo_may_be_turned_off_for_one_call_or_share(
    make: Make, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer(ok())
    m = make(stream=True)

    assert ["4", "4"] == [m("q", stream=False), m.share(stream=False)("q")]
    assert "" == capsys.readouterr().out


def test_an_answer_without_text_echoes_nothing(
    make: Make, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    server.answer(streaming(sse(delta(tool_calls=[call]), delta("tool_calls"))))

    result = make(stream=True).respond("q")

    assert "f" == result.tool_calls[0].name
    assert "" == capsys.readouterr().out


# Schema.


@frozen
class Answer:
    x: int


SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


@pytest.mark.parametrize(
    ("schema", "value"), [(Answer, Answer(1)), (SCHEMA, {"x": 1})], ids=["class", "schema"]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_schema_gives_a_checked_value(
    make: Make, server: FaultServer, schema: Any, value: Any, stream: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    server.answer(streaming(chat_stream('{"x"', ":1}")) if stream else ok(chat_body('{"x":1}')))

    assert value == make()("q", schema=schema, stream=stream)
    assert "fits this schema" in sent(server)["messages"][0]["content"]


def test_a_reply_that_does_not_fit_the_schema_is_a_format_error(
    make: Make, server: FaultServer
) -> None:
    server.answer(ok(chat_body("no")))

    with pytest.raises(FormatError) as caught:
        make()("q", schema=Answer)

    assert "no" == caught.value.reply


# What a server is known to refuse.


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": 1}, "acme's acme-1 refuses the option 'seed'; leave it out"),
        ({"temperature": 0.5}, "acme's acme-1 takes temperature=1 alone; leave it out"),
        ({"temperature": 1, "seed": None}, ""),
    ],
)
def test_what_a_server_refuses_is_not_sent(
    site: Site, server: FaultServer, options: dict[str, Any], told: str
) -> None:
    quirks = '[create_online.acme.quirks]\nrefuses = ["seed"]\nfixed = { temperature = 1 }\n'
    site.plugin("acme", manifest=provider("acme") + quirks)
    server.answer(ok())
    m = modelplug.OnlineModule(source="acme", url=server.url)

    if not told:
        assert "4" == m("q", **options)
        return
    with pytest.raises(Unsupported) as caught:
        m("q", **options)
    assert told == str(caught.value)
    assert 0 == server.connections


def test_more_documents_than_the_limit_are_refused(site: Site) -> None:
    limits = "[create_online.acme.limits]\nrerank-documents = 2\n"
    site.plugin("acme", manifest=provider("acme") + limits)
    m = modelplug.OnlineModule(source="acme", type="rerank", url="http://127.0.0.1:9")

    with pytest.raises(ConfigError) as caught:
        m("q", documents=["a", "b", "c"])

    assert "acme ranks up to 2 documents and got 3" == str(caught.value)


def test_a_model_must_say_what_it_is() -> None:
    m = modelplug.Model()

    for ask in (
        lambda: m.type, lambda: m.model, lambda: m.url, lambda: m.api_key, m._connect,
        lambda: m._another(View()),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError):
            ask()


# Embeddings and rerank.


def vectors(request: Any) -> Reply:
    """One vector for each text: its length."""
    texts = request.json["input"]
    items = [{"index": at, "embedding": [float(len(text))]} for at, text in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return ok(json.dumps({"data": items, "model": "e", "usage": usage}).encode())


def test_one_text_gives_a_vector_and_a_list_one_for_each(make: Make, server: FaultServer) -> None:
    server.answer_with(vectors)
    m = make(type="embed")

    assert [3.0] == m("abc")
    assert [[3.0], [1.0]] == m(["abc", "a"])
    assert [[3.0], [1.0]] == asyncio.run(m.acall(("abc", "a")))
    assert ["abc"] == sent(server, 0)["input"]


def test_more_texts_than_the_limit_go_in_batches_and_come_in_order(
    site: Site, server: FaultServer
) -> None:
    limits = "[create_online.acme.limits]\nembed-batch = 3\n"
    site.plugin("acme", manifest=provider("acme") + limits)
    server.answer_with(vectors)
    m = modelplug.OnlineModule(source="acme", type="embed", url=server.url)
    texts = ["x" * at for at in range(1, 9)]

    result = m.respond(texts)
    again = asyncio.run(m.arespond(texts))

    assert [[float(at)] for at in range(1, 9)] == result.vectors == again.vectors
    assert ("e", Usage(8, None, 8)) == (result.model, result.usage)
    assert [2, 3, 3] == sorted(len(request.json["input"]) for request in server.requests[:3])


def test_no_texts_are_not_sent(make: Make, server: FaultServer) -> None:
    assert [] == make(type="embed")([])
    assert 0 == server.connections


@pytest.mark.parametrize("given", [None, 5, [1], {"a": 1}, b"x", {"a"}], ids=repr)
def test_what_is_no_text_is_not_embedded(make: Make, given: Any) -> None:
    with pytest.raises(ConfigError, match="an embedding model takes a text or a list of texts"):
        make(type="embed")(given)


def test_a_query_ranks_its_documents(make: Make, server: FaultServer) -> None:
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    server.answer(ok(json.dumps({"results": results}).encode()))
    m = make(type="rerank")

    assert [(1, 0.9)] == m("q", documents=("a", "b"), top_n=1)
    assert Ranking is type(m.respond("q", documents=["a", "b"]))
    assert {"query": "q", "documents": ["a", "b"], "top_n": 1}.items() <= sent(server, 0).items()


def test_no_documents_are_not_sent(make: Make, server: FaultServer) -> None:
    assert [] == make(type="rerank")("q", documents=[])
    assert 0 == server.connections


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        (5, {"documents": ["a"]}, "a rerank model takes a query, a text, not int"),
        ("q", {}, "a rerank model needs documents=[...], a list of texts"),
        ("q", {"documents": "a"}, "a rerank model needs documents=[...], a list of texts"),
        ("q", {"documents": ["a"], "top_n": 0}, "top_n counts from 1 and is 0; leave it out for all documents"),
        ("q", {"documents": ["a"], "top_n": "2"}, "top_n counts from 1 and is '2'; leave it out for all documents"),
    ],
)  # fmt: skip
def test_a_ranking_that_cannot_be_asked_for_is_refused(
    make: Make, given: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(type="rerank")(given, **options)

    assert told == str(caught.value)


@pytest.mark.parametrize("type_", ["embed", "rerank"])
def test_only_chat_streams(make: Make, type_: str) -> None:
    m = make(type=type_, stream=True)

    with pytest.raises(Unsupported) as caught:
        list(m.events("q"))

    assert f"a model of type {type_} does not stream; call it" == str(caught.value)


def test_options_of_chat_are_none_of_embeddings(make: Make) -> None:
    with pytest.raises(UnknownOption):
        make(type="embed")("a", temperature=1)


def test_a_wrapper_sees_the_codec_of_a_model(site: Site, server: FaultServer) -> None:
    site.plugin("acme")
    source = """
        from modelplug import hookimpl
        class Wrapper:
            @hookimpl(wrapper=True)
            def create_online(self):
                yield
                return 5
        plugin = Wrapper()
    """
    site.plugin("trace", group="wrappers", source=source)

    with pytest.raises(PluginBroken):
        modelplug.OnlineModule(source="acme", url=server.url)


def test_a_call_from_another_loop_works_on_the_same_model(make: Make, server: FaultServer) -> None:
    server.answer(ok())
    m = make()

    assert ["4", "4", "4"] == [asyncio.run(m.acall("q")), m("q"), asyncio.run(m.acall("q"))]


def test_a_result_is_rich(make: Make, server: FaultServer) -> None:
    server.answer(ok())

    result = make().respond("q")

    assert Completion is type(result)
    assert ("4", "stop", "acme-1", "c1") == (
        result.text,
        result.finish_reason,
        result.model,
        result.id,
    )
    assert "c1" == result.raw["id"]


# The trace.


def test_a_trace_holds_what_the_calls_gave_in_order(make: Make, server: FaultServer) -> None:
    echoing(server)
    m = make(return_trace=True)

    m("a")
    asyncio.run(m.acall("b"))
    m.map(["c"])

    assert ["a", "b", "c"] == [completion.text for completion in m.trace]


def test_a_trace_holds_what_was_echoed_too(
    make: Make, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer(streaming(chat_stream("ab")))
    m = make(return_trace=True, stream=True)

    m("q")

    assert ["ab"] == [completion.text for completion in m.trace]


def test_without_return_trace_nothing_is_kept(make: Make, server: FaultServer) -> None:
    echoing(server)
    m = make()

    m("a")

    assert [] == m.trace


def test_a_shared_view_has_a_trace_of_its_own(make: Make, server: FaultServer) -> None:
    echoing(server)
    m = make(return_trace=True)
    other = m.share(prompt="p")

    m("a")
    other("b")

    assert [["a"], ["b"]] == [[done.text for done in each.trace] for each in (m, other)]
