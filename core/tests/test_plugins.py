"""Plugins: found by metadata, imported at first use, an error for their own name only."""
# ruff: noqa: E501 - tables of exact texts read best one row a line

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from core_helpers import COMPATIBLE, ENDPOINT, Site, provider, python

from modelplug import plugins as plugins_module
from modelplug.errors import (
    BadManifest,
    FormatError,
    ModelplugError,
    PluginBroken,
    PluginNotFound,
    Unsupported,
)
from modelplug.openai_wire import OpenAIChat
from modelplug.plugins import Plugins, forget, installed, scan
from modelplug.search import Offer, offers
from modelplug.types import ModelType

BROKEN = "raise RuntimeError('boom at import')"


def plugins(*blocked: str) -> Plugins:
    """What is installed now, less *blocked*."""
    return Plugins(scan(frozenset(blocked)), frozenset(blocked))


def create(source: str, found: Plugins | None = None) -> object:
    """Ask *source* for a codec."""
    return (found or plugins()).create_online(source, ENDPOINT, ModelType.LLM)


# Finding.


def test_a_name_is_found_without_importing_its_module(site: Site) -> None:
    module = site.plugin("acme")

    found = plugins()
    entry = found.find("create_online", "acme")

    assert "acme" in found.names("create_online")
    assert (module, f"{module}:plugin") == (entry.module, entry.value)
    assert "modelplug-acme 0.1.0" == entry.origin
    assert "acme" == found.provider("acme").title
    assert module not in sys.modules


def test_a_plugin_is_imported_at_its_first_use_and_once(site: Site) -> None:
    log = site.folder / "imports.log"
    module = site.plugin(
        "acme", source=f"with open({str(log)!r}, 'a') as f: f.write('x')\n" + COMPATIBLE
    )
    found = plugins()

    codec = create("acme", found)
    create("acme", found)

    assert isinstance(codec, OpenAIChat)
    assert module in sys.modules
    assert "x" == log.read_text()


def test_of_a_hundred_plugins_only_the_one_that_is_named_is_imported(site: Site) -> None:
    for number in range(100):
        site.plugin(f"gen{number}")
    found = plugins()

    create("gen42", found)

    assert 100 == len([name for name in found.names("create_online") if name.startswith("gen")])
    assert ["site_gen42"] == sorted(site.modules & set(sys.modules))


def test_a_distribution_without_entry_points_is_passed_over(site: Site) -> None:
    (site.metadata("other", "") / "entry_points.txt").unlink()
    site.metadata("another", "[console_scripts]\nanother-command = y:z\n")

    assert "another-command" not in json.dumps([list(names) for names in scan().values()])


def test_the_index_is_made_once_and_anew_after_forget(site: Site) -> None:
    assert installed() is installed()
    site.plugin("late")
    assert "late" not in installed().names("create_online")

    forget()

    assert "late" in installed().names("create_online")


def test_one_name_in_two_groups_is_two_plugins(site: Site) -> None:
    site.module("site_two", "create = 1\nrun = 2\n")
    site.metadata(
        "modelplug-two",
        """
        [modelplug.commands]
        two = site_two:create
        [modelplug.runtime]
        two = site_two:run
        """,
    )

    found = plugins()

    assert (1, 2) == (found.load("commands", "two"), found.load("runtime", "two"))


# Not found.


@pytest.mark.parametrize(
    ("group", "name", "told"),
    [
        ("deploy_local", "llama_cpp", "the engine 'llama_cpp' is not installed; pip install modelplug-llama-cpp"),
        ("format", "json", "the formatter 'json' is not installed; pip install modelplug-formats"),
        ("weights", "tiny", "the model 'tiny' is not installed; pip install modelplug-tiny"),
        ("runtime", "local", "the runtime 'local' is not installed; pip install modelplug-local"),
        ("create_online", "openai", "the source 'openai' is not installed; pip install modelplug-openai"),
    ],
)  # fmt: skip
def test_a_known_plugin_that_is_not_installed_says_what_to_install(
    group: str, name: str, told: str
) -> None:
    with pytest.raises(PluginNotFound) as caught:
        Plugins({}).find(group, name)

    assert told == str(caught.value)


def test_an_unknown_name_lists_the_installed_and_the_near(site: Site) -> None:
    site.plugin("acme")
    site.plugin("zeta")
    index = {
        "create_online": {n: e for n, e in scan()["create_online"].items() if n in ("acme", "zeta")}
    }

    with pytest.raises(PluginNotFound) as caught:
        Plugins(index).find("create_online", "acne")

    assert (
        "no installed plugin provides the source 'acne' (installed: acme, zeta); "
        "did you mean 'acme'?"
    ) == str(caught.value)


def test_with_nothing_installed_none_is_listed() -> None:
    with pytest.raises(PluginNotFound) as caught:
        Plugins({}).find("finetune", "zzz")

    assert "no installed plugin provides the trainer 'zzz' (installed: none)" == str(caught.value)


def test_the_near_match_may_be_one_that_is_not_installed() -> None:
    with pytest.raises(PluginNotFound) as caught:
        Plugins({}).find("create_online", "opnai")

    assert str(caught.value).endswith("(installed: none); did you mean 'openai'?")


# Blocked, rivals, twice.


def test_a_blocked_name_is_hidden_and_says_so(site: Site) -> None:
    site.plugin("acme")

    with pytest.raises(PluginNotFound) as caught:
        plugins("acme").find("create_online", "acme")

    assert "the source 'acme' is hidden by MODELPLUG_BLOCK; take it out of there" == str(
        caught.value
    )


def test_names_are_blocked_by_the_environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("acme", "beta", "gamma"):
        site.plugin(name)
    monkeypatch.setenv("MODELPLUG_BLOCK", "acme, beta ,,")

    names = installed().names("create_online")

    assert ["gamma"] == [name for name in names if name in ("acme", "beta", "gamma")]


def test_two_distributions_of_one_name_are_both_named(site: Site) -> None:
    site.plugin("acme")
    site.metadata("modelplug-rival", "[modelplug.create_online]\nacme = site_acme:plugin\n")

    for _ in range(2):
        with pytest.raises(PluginBroken) as caught:
            create("acme")

        assert (
            "modelplug-acme and modelplug-rival both provide 'acme' (create_online); "
            "uninstall one of them"
        ) == str(caught.value)


def test_blocking_a_name_silences_its_rivals_for_the_others(site: Site) -> None:
    site.plugin("acme")
    site.plugin("beta")
    site.metadata("modelplug-rival", "[modelplug.create_online]\nacme = site_acme:plugin\n")

    assert isinstance(create("beta"), OpenAIChat)


@pytest.mark.parametrize("spelling", ["modelplug-acme", "Modelplug_Acme", "modelplug.acme"])
def test_one_distribution_twice_on_the_path_is_one(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    site.plugin("acme")
    older = Site(tmp_path / "older")
    older.metadata(spelling, "[modelplug.create_online]\nacme = older:plugin\n", version="0.0.9")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older.folder)])

    entry = plugins().find("create_online", "acme")

    assert "modelplug-acme 0.1.0" == entry.origin


# Broken.


def test_a_broken_import_is_an_error_for_its_own_name_only(site: Site) -> None:
    site.plugin("bad", source=BROKEN)
    site.plugin("good")
    found = plugins()

    for _ in range(2):
        with pytest.raises(PluginBroken) as caught:
            create("bad", found)
        assert (
            "modelplug-bad 0.1.0 could not be loaded for 'bad': RuntimeError: boom at import"
        ) == str(caught.value)
        assert isinstance(caught.value.__cause__, RuntimeError)
    assert isinstance(create("good", found), OpenAIChat)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
        ("other = 1", "AttributeError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("assert False", "AssertionError"),
    ],
)
def test_whatever_an_import_does_is_a_broken_plugin(site: Site, source: str, kind: str) -> None:
    site.plugin("bad", source=source)

    with pytest.raises(PluginBroken) as caught:
        create("bad")

    assert str(caught.value).startswith(
        f"modelplug-bad 0.1.0 could not be loaded for 'bad': {kind}"
    )


def test_a_module_that_was_uninstalled_is_a_broken_plugin(site: Site) -> None:
    site.metadata("modelplug-gone", "[modelplug.create_online]\ngone = site_gone:plugin\n")

    with pytest.raises(PluginBroken):
        create("gone")
    with pytest.raises(BadManifest) as caught:
        plugins().provider("gone")
    assert (
        "the package 'site_gone' of an installed plugin is missing; reinstall the plugin"
    ) == str(caught.value)


HOOK = """
from modelplug import hookimpl
class Plugin:
    @hookimpl
    def {head}:
        {body}
plugin = Plugin()
"""


def hook(body: str, head: str = "create_online(self, endpoint, type)") -> str:
    return HOOK.format(head=head, body=body)


def test_a_hook_that_raises_is_a_broken_plugin_from_its_error(site: Site) -> None:
    site.plugin("bad", source=hook("return {}['key']"))

    with pytest.raises(PluginBroken) as caught:
        create("bad")

    assert "modelplug-bad 0.1.0 failed in create_online for 'bad': KeyError: 'key'" == str(
        caught.value
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_of_ours_in_a_hook_passes_through(site: Site) -> None:
    source = "from modelplug.errors import Unsupported\n" + hook("raise Unsupported('not here')")
    site.plugin("some", source=source)

    with pytest.raises(Unsupported, match="not here"):
        create("some")


def test_a_hook_may_leave_arguments_out_and_answer_none(site: Site) -> None:
    site.plugin("none", source=hook("return None", "create_online(self)"))

    assert create("none") is None


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (
            "create_onlin(self, endpoint, type)",
            "site_bad:plugin implements no hook 'create_online'; its author must mend it",
        ),
        (
            "resolve_type(self, model)",
            "site_bad:plugin implements no hook 'create_online'; its author must mend it",
        ),
    ],
    ids=["misspelt", "another"],
)
def test_a_plugin_without_its_hook_is_refused_each_time(site: Site, head: str, told: str) -> None:
    site.plugin("bad", source=hook("return None", head))
    found = plugins()

    for _ in range(2):
        with pytest.raises(PluginBroken) as caught:
            create("bad", found)
        assert f"modelplug-bad 0.1.0: {told}" == str(caught.value)


def test_a_hook_that_does_not_exist_is_refused(site: Site) -> None:
    source = hook("return None") + dedent("""
        @hookimpl
        def create_onlin(endpoint): ...
        plugin.create_onlin = create_onlin
    """)
    site.plugin("bad", source=source)

    with pytest.raises(PluginBroken) as caught:
        create("bad")

    assert (
        "modelplug-bad 0.1.0: site_bad:plugin implements hooks that do not exist: create_onlin; "
        "its author must mend it"
    ) == str(caught.value)


def test_an_argument_that_does_not_exist_is_refused_each_time(site: Site) -> None:
    site.plugin("bad", source=hook("return None", "create_online(self, endpont)"))
    found = plugins()

    for _ in range(2):
        with pytest.raises(PluginBroken) as caught:
            create("bad", found)
        assert "modelplug-bad 0.1.0: site_bad:plugin " in str(caught.value)
        assert "endpont" in str(caught.value)


@pytest.mark.parametrize("value", ["None", "42", "'text'", "object()"])
def test_an_object_without_hooks_is_refused(site: Site, value: str) -> None:
    site.plugin("bad", source=f"plugin = {value}")

    with pytest.raises(PluginBroken) as caught:
        create("bad")

    assert "implements no hook 'create_online'" in str(caught.value)


@pytest.mark.parametrize("answer", ["42", "'codec'", "dict()", "type"])
def test_an_answer_that_is_no_codec_is_a_broken_contract(site: Site, answer: str) -> None:
    site.plugin("bad", source=hook(f"return {answer}"))

    with pytest.raises(PluginBroken) as caught:
        create("bad")

    assert str(caught.value).startswith(
        "modelplug-bad 0.1.0 answered create_online for 'bad' with "
    )


def test_two_equal_plugin_objects_are_both_asked(site: Site) -> None:
    source = """
        from attrs import frozen
        from modelplug.openai_wire import OpenAICompatible
        @frozen
        class Same:
            create_online = OpenAICompatible().create_online
        one, two = Same(), Same()
    """
    site.module("site_same", source, provider("one") + provider("two"))
    site.metadata(
        "modelplug-same",
        "[modelplug.create_online]\none = site_same:one\ntwo = site_same:two\n",
    )
    found = plugins()

    assert isinstance(create("one", found), OpenAIChat)
    assert isinstance(create("two", found), OpenAIChat)


def test_one_object_under_two_names_is_asked_by_both(site: Site) -> None:
    site.module("site_alias", COMPATIBLE + "again = plugin\n", provider("one") + provider("two"))
    site.metadata(
        "modelplug-alias",
        "[modelplug.create_online]\none = site_alias:plugin\ntwo = site_alias:again\n",
    )
    found = plugins()

    assert isinstance(create("one", found), OpenAIChat)
    assert isinstance(create("two", found), OpenAIChat)


def test_an_object_that_serves_one_group_is_refused_for_another(site: Site) -> None:
    site.module("site_half", COMPATIBLE, provider("half"))
    site.metadata(
        "modelplug-half",
        "[modelplug.create_online]\nhalf = site_half:plugin\n"
        "[modelplug.resolve_type]\nhalf = site_half:plugin\n",
    )
    found = plugins()
    create("half", found)

    with pytest.raises(PluginBroken):
        found.resolve_type("half", "x")
    assert isinstance(create("half", found), OpenAIChat)


# Wrappers.

WRAPPER = """
from modelplug import hookimpl
seen = []
class Wrapper:
    @hookimpl(wrapper=True)
    def create_online(self, endpoint, type):
        seen.append("before " + endpoint.provider)
        codec = yield
        seen.append("after " + endpoint.provider)
        return codec
    @hookimpl(wrapper=True)
    def format(self, value):
        return "<" + (yield) + ">"
plugin = Wrapper()
"""


def test_wrappers_run_round_the_hook_that_is_addressed(site: Site) -> None:
    site.plugin("trace", group="wrappers", source=WRAPPER)
    site.plugin("acme")
    found = plugins()

    codec = create("acme", found)

    assert isinstance(codec, OpenAIChat)
    assert ["before acme", "after acme"] == sys.modules["site_trace"].seen


def test_the_other_providers_are_not_asked(site: Site) -> None:
    site.plugin("none", source=hook("return None"))
    site.plugin("eager", source=hook("raise RuntimeError('I was not asked')"))
    found = plugins()
    with pytest.raises(PluginBroken):
        create("eager", found)  # so that it is loaded

    assert create("none", found) is None


@pytest.mark.parametrize("module", ["wrappers_acme", "wrappers"])
def test_a_module_that_is_named_like_the_wrappers_is_not_one(site: Site, module: str) -> None:
    site.module(module, hook("raise RuntimeError('I was not asked')"), provider("eager"))
    site.metadata("modelplug-eager", f"[modelplug.create_online]\neager = {module}:plugin\n")
    site.plugin("none", source=hook("return None"))
    found = plugins()
    with pytest.raises(PluginBroken):
        create("eager", found)

    assert create("none", found) is None


def test_a_wrapper_that_cannot_be_loaded_stops_every_call(site: Site) -> None:
    site.plugin("redact", group="wrappers", source=BROKEN)
    site.plugin("acme")
    found = plugins()

    for _ in range(2):
        with pytest.raises(PluginBroken, match="modelplug-redact 0.1.0 could not be loaded"):
            create("acme", found)


def test_a_wrapper_that_raises_is_told(site: Site) -> None:
    site.plugin("trace", group="wrappers", source=WRAPPER.replace("codec = yield", "1 / 0; yield"))
    site.plugin("acme")

    with pytest.raises(PluginBroken, match="ZeroDivisionError"):
        create("acme")


def test_wrappers_run_round_formatters(site: Site) -> None:
    site.plugin("trace", group="wrappers", source=WRAPPER)

    assert "<A>" == plugins().format(lambda value: str(value).upper(), "a")


def test_an_error_of_a_formatter_comes_as_it_is() -> None:
    def fail(value: object) -> object:
        raise FormatError("no", reply=value)

    with pytest.raises(FormatError) as caught:
        plugins().format(fail, "text")

    assert "text" == caught.value.reply


# Manifests.


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("", "site_acme: modelplug.toml has no table [create_online.acme]"),
        ("nonsense", "site_acme: modelplug.toml is not TOML: "),
        ("contract = 2\n", "site_acme needs version 2 of the plugin contract and this modelplug speaks 1; pip install --upgrade modelplug"),
        ("contract = '2'\n", "site_acme: modelplug.toml: contract is a whole number, not '2'"),
        ("[create_onlin.acme]\n", "site_acme: modelplug.toml has an unknown table [create_onlin]; did you mean 'create_online'?"),
        ("create_online = 5\n", "site_acme: modelplug.toml: [create_online] is no table"),
        ("[create_online]\nacme = 5\n", "site_acme: modelplug.toml, [create_online.acme]: "),
        ("[create_online.acme]\n", "site_acme: modelplug.toml, [create_online.acme]: required key 'title' is missing"),
        ("[create_online.acme]\ntitle = 'A'\nkey-enf = []\n", "site_acme: modelplug.toml, [create_online.acme]: unknown key 'key-enf'; did you mean 'key-env'?"),
        ("[create_online.acme]\ntitle = 5\n", "site_acme: modelplug.toml, [create_online.acme]: str expected, not int @ $.title"),
        ("[create_online.acme]\ntitle = 'A'\ntypes = {lm = 'x'}\n", "site_acme: modelplug.toml, [create_online.acme]: 'lm' is not a model type"),
        ("[create_online.acme]\ntitle = 'A'\nmodels = {'x*' = 'lm'}\n", "site_acme: modelplug.toml, [create_online.acme]: 'lm' is not a model type"),
        ("[create_online.acme]\ntitle = 'A'\nlimits = {rerank-document = 5}\n", "site_acme: modelplug.toml, [create_online.acme]: unknown key 'rerank-document'; did you mean 'rerank-documents'?"),
    ],
    ids="empty,no toml,too new,no number,near table,no table,no entry,missing,near key,type,types,models,nested".split(","),
)  # fmt: skip
def test_a_fault_in_a_manifest_is_named_with_file_and_key(
    site: Site, manifest: str, told: str
) -> None:
    site.plugin("acme", manifest=manifest)

    with pytest.raises(BadManifest) as caught:
        plugins().provider("acme")

    assert str(caught.value).startswith(told)


def test_a_manifest_that_is_not_utf_8_is_named(site: Site) -> None:
    site.plugin("acme")
    (site.folder / "site_acme" / "modelplug.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(BadManifest, match="site_acme: modelplug.toml is not TOML: "):
        plugins().provider("acme")


def test_a_manifest_that_is_missing_is_the_authors_fault(site: Site) -> None:
    site.plugin("acme")
    (site.folder / "site_acme" / "modelplug.toml").unlink()

    with pytest.raises(BadManifest) as caught:
        plugins().provider("acme")

    assert ("site_acme has no modelplug.toml beside its module; its author must ship one") == str(
        caught.value
    )


def test_the_manifest_is_beside_the_top_package_of_a_deeper_module(site: Site) -> None:
    folder = site.module("site_deep", "", provider("deep"))
    (folder / "inner").mkdir()
    (folder / "inner" / "__init__.py").write_text(BROKEN)
    site.metadata("modelplug-deep", "[modelplug.create_online]\ndeep = site_deep.inner:plugin\n")

    assert "deep" == plugins().provider("deep").title
    assert "site_deep" not in sys.modules


def test_a_module_that_is_one_file_has_its_manifest_beside_it(site: Site) -> None:
    (site.folder / "site_file.py").write_text(COMPATIBLE)
    (site.folder / "modelplug.toml").write_text(provider("file"))
    site.metadata("modelplug-file", "[modelplug.create_online]\nfile = site_file:plugin\n")

    assert "file" == plugins().provider("file").title


def test_a_manifest_is_read_once(site: Site) -> None:
    site.plugin("acme")
    found = plugins()
    first = found.provider("acme")
    (site.folder / "site_acme" / "modelplug.toml").write_text("nonsense")

    assert found.provider("acme") is first


def test_engines_and_weights_are_read_likewise(site: Site) -> None:
    manifest = """
contract = 1
[deploy_local.fast]
title = "Fast"
formats = ["gguf"]
types = ["llm"]
[weights.mini]
type = "llm"
gguf = "mini.gguf"
"""
    site.module("site_local", "", manifest)
    site.metadata(
        "modelplug-fast",
        "[modelplug.deploy_local]\nfast = site_local:x\n[modelplug.weights]\nmini = site_local:y\n",
    )
    found = plugins()

    assert ["gguf"] == found.engine("fast").formats
    assert "mini.gguf" == found.weights("mini").gguf


def test_patterns_are_tried_in_order_and_in_lower_case(site: Site) -> None:
    site.plugin("acme")
    acme = plugins().provider("acme")

    assert [ModelType.EMBED, ModelType.LLM, None] == [
        acme.type_of(name) for name in ("ACME-Embed-1", "acme-x", "other")
    ]


def test_rules_add_to_what_a_model_does(site: Site) -> None:
    rules = """
[[create_online.acme.rules]]
match = "acme-big*"
does = ["reasoning"]
lacks = ["tools"]
limits = { embed-batch = 7 }
quirks = { max-tokens-field = "max_completion_tokens" }
"""
    site.plugin("acme", manifest=provider("acme") + rules)
    acme = plugins().provider("acme")

    does, limits, quirks = acme.for_model("Acme-BIG-2")

    assert {"stream", "image-input", "reasoning"} == does
    assert (7, "max_completion_tokens") == (limits.embed_batch, quirks.max_tokens_field)
    assert (frozenset({"stream", "tools", "image-input"}), acme.limits, acme.quirks) == (
        acme.for_model("acme-small")
    )


@pytest.mark.parametrize("table", ["limits", "quirks"])
def test_a_rule_with_an_unknown_field_is_a_bad_manifest(site: Site, table: str) -> None:
    rule = f"""
[[create_online.acme.rules]]
match = "*"
{table} = {{ rerank-document = 7 }}
"""
    site.plugin("acme", manifest=provider("acme") + rule)

    with pytest.raises(BadManifest, match="rerank-document"):
        plugins().provider("acme")


def test_broken_metadata_of_one_distribution_does_not_hide_the_others(site: Site) -> None:
    site.plugin("acme")
    folder = site.metadata("modelplug-junk", "[modelplug.create_online]\njunk without an equals\n")
    (folder / "METADATA").unlink()

    assert isinstance(create("acme"), OpenAIChat)


SERVICE = """
[create_online.acme.services.speech]
base-url = "https://speech.test"
match = ["voice-*"]
types = ["rerank"]
key-env = ["SPEECH_KEY"]
"""


def test_a_service_of_a_provider_has_its_own_address_and_keys(site: Site) -> None:
    site.plugin("acme", manifest=provider("acme") + SERVICE)
    acme = plugins().provider("acme")

    name, served = acme.serving("acme", "Voice-1")

    assert ("acme_speech", "https://speech.test", ["SPEECH_KEY"]) == (
        name,
        served.base_url,
        served.key_env,
    )
    assert "acme_speech" == acme.serving("acme", "x", "rerank")[0]
    assert ("acme", acme) == acme.serving("acme", "acme-1")


# What is offered.


def test_offers_are_searched_by_words(site: Site) -> None:
    site.plugin("acme")
    site.plugin("bad", manifest="nonsense")
    site.module("site_mini", "", '[weights.mini]\ntype = "llm"\ntitle = "Mini"\n')
    site.metadata("modelplug-mini", "[modelplug.weights]\nmini = site_mini\ngone = site_gone\n")
    index = {
        group: {name: entry for name, entry in names.items() if entry.module in site.modules}
        for group, names in scan().items()
    }
    found = Plugins(index)

    assert [Offer("acme", "acme", "embed", "acme-embed", ("acme-embed*",))] == offers(
        found, "acme EMB"
    )
    assert ("image-input", "stream", "tools") == offers(found, "acme llm")[0].does
    assert [Offer("local", "Mini", "llm", "mini")] == offers(found, "mini")
    assert ["acme", "acme", "acme", "local"] == [offer.source for offer in offers(found)]
    assert [] == offers(found, "acme nowhere")


# In a fresh interpreter, as users have it.


def test_a_plugin_on_the_path_of_an_interpreter_is_used_by_name(site: Site) -> None:
    site.plugin("acme")

    told = python(
        """
        import modelplug, sys
        m = modelplug.OnlineModule(source="acme", api_key="sk-x")
        print(m, "site_acme" in sys.modules)
        """,
        env={"PYTHONPATH": f"{site.folder}:{':'.join(filter(None, sys.path))}"},
    )

    assert "<OnlineModule acme:acme-1 (llm) at https://acme.test/v1> True\n" == told.stdout


def test_every_group_has_a_noun_for_its_messages() -> None:
    assert set(plugins_module.HOOKS) < set(plugins_module._NOUNS)


def test_every_plugin_error_is_one_of_ours() -> None:
    assert all(issubclass(kind, ModelplugError) for kind in (PluginBroken, BadManifest))
