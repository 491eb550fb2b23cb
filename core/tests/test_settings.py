"""Where values and keys come from, the first place first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from modelplug.errors import MissingKey
from modelplug.settings import (
    Setting,
    find_keys,
    key_variables,
    read_key,
    resolve,
    variable_of,
)
from modelplug.types import Secret

EVERYWHERE = {
    "MODELPLUG_ACME_URL": "ours",
    "ACME_URL": "vendor's",
    "ACME_HOST": "vendor's second",
    "LAZYLLM_ACME_URL": "reference's",
}
VENDOR = ("ACME_URL", "ACME_HOST")


def url(env: dict[str, str], argument: str | None = None) -> Setting | None:
    return resolve(
        "url", argument=argument, variable="ACME_URL", vendor=VENDOR, env=env, default="default's"
    )


def test_each_place_stands_in_for_the_one_before_it() -> None:
    env = dict(EVERYWHERE)
    seen = [url(env, "argument's")]
    for name in ("", "MODELPLUG_ACME_URL", "ACME_URL", "ACME_HOST", "LAZYLLM_ACME_URL"):
        env.pop(name, None)
        seen.append(url(env))

    assert [
        Setting("argument's", "argument url"),
        Setting("ours", "MODELPLUG_ACME_URL"),
        Setting("vendor's", "ACME_URL"),
        Setting("vendor's second", "ACME_HOST"),
        Setting("reference's", "LAZYLLM_ACME_URL"),
        Setting("default's", "default"),
    ] == seen


def test_a_variable_that_is_set_to_nothing_is_not_set() -> None:
    assert Setting("vendor's", "ACME_URL") == url({**EVERYWHERE, "MODELPLUG_ACME_URL": ""})


def test_without_any_place_there_is_no_value() -> None:
    assert resolve("url", variable="ACME_URL", env={}) is None


def test_a_value_is_not_shown() -> None:
    assert "Setting(origin='ACME_URL')" == repr(Setting("sk-1", "ACME_URL"))


@pytest.mark.parametrize(
    ("source", "variable"), [("kimi", "KIMI_API_KEY"), ("my-llm", "MY_LLM_API_KEY")]
)
def test_a_variable_is_named_after_the_source(source: str, variable: str) -> None:
    assert variable == variable_of(source, "api_key")


def test_a_message_names_the_vendors_variables_first() -> None:
    assert ["KIMI_KEY", "MOONSHOT_KEY", "MODELPLUG_KIMI_API_KEY"] == key_variables(
        "kimi", ["KIMI_KEY", "MOONSHOT_KEY"]
    )


def test_a_key_is_found_as_any_value_is() -> None:
    env = {"MODELPLUG_ACME_API_KEY": "ours", "ACME_KEY": "vendor's", "LAZYLLM_ACME_API_KEY": "ref"}

    assert ((Secret("given"),), "argument api_key") == find_keys("acme", ["ACME_KEY"], env, "given")
    assert ((Secret("ours"),), "MODELPLUG_ACME_API_KEY") == find_keys("acme", ["ACME_KEY"], env)
    assert ((), "") == find_keys("acme", ["ACME_KEY"], {})


def test_a_pair_of_variables_is_one_key_between_the_vendors_and_the_references() -> None:
    pair, env = [["ID", "SECRET"]], {"ID": "i", "SECRET": " s ", "LAZYLLM_ACME_API_KEY": "ref"}

    assert ((Secret("i:s"),), "ID and SECRET") == find_keys("acme", [], env, pairs=pair)
    assert ((Secret("k"),), "K") == find_keys("acme", ["K"], env | {"K": "k"}, pairs=pair)
    assert ((Secret("ref"),), "LAZYLLM_ACME_API_KEY") == find_keys(
        "acme", [], env | {"ID": " "}, pairs=pair
    )


def test_a_variable_is_no_reference_and_runs_nothing(tmp_path: Path) -> None:
    text = f"cmd:touch {tmp_path / 'ran'}"

    assert ((Secret(text),), "K") == find_keys("acme", ["K"], {"K": text})
    assert [] == list(tmp_path.iterdir())


def test_a_key_may_be_a_secret_or_several() -> None:
    several: list[str | Secret] = [Secret("a"), "b", "env:C"]

    keys, origin = find_keys("acme", [], {"C": "c\n"}, several)

    assert (Secret("a"), Secret("b"), Secret("c")) == keys
    assert "argument api_key" == origin


def test_space_round_a_key_is_dropped() -> None:
    assert "sk" == read_key(" sk\n", {}).reveal()


@pytest.mark.parametrize("blank", ["", "  ", "\n"], ids=repr)
def test_a_blank_key_is_no_key(blank: str) -> None:
    assert ((), "") == find_keys("acme", ["ACME_KEY"], {"ACME_KEY": blank})
    assert () == find_keys("acme", ["ACME_KEY"], {}, blank)[0]
    assert () == find_keys("acme", ["ACME_KEY"], {}, [blank])[0]


@pytest.mark.parametrize("blank", ["", "  "], ids=repr)
def test_a_reference_to_a_blank_variable_is_an_error(blank: str) -> None:
    with pytest.raises(MissingKey) as caught:
        read_key("env:ACME", {"ACME": blank})

    assert "api_key='env:ACME' and ACME is not set; set it" == str(caught.value)


def test_a_key_in_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-file\n")

    assert "sk-file" == read_key(f"file:{tmp_path / 'key'}", {}).reveal()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingKey) as caught:
        read_key(f"file:{tmp_path / 'key'}", {})

    assert (
        f"api_key='file:{tmp_path / 'key'}' cannot be read: No such file or directory; "
        "check the path"
    ) == str(caught.value)


def test_a_file_that_is_no_text_is_an_error_that_does_not_show_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00sk")

    with pytest.raises(MissingKey):
        read_key(f"file:{tmp_path / 'key'}", {})


def test_an_empty_file_holds_no_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")

    with pytest.raises(MissingKey):
        read_key(f"file:{tmp_path / 'key'}", {})


def test_a_program_tells_a_key_by_its_first_line() -> None:
    command = f"{sys.executable} -c 'print(\"sk-cmd\"); print(2)'"

    assert "sk-cmd" == read_key(f"cmd:{command}", {}).reveal()


def test_a_command_meets_no_shell(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'import sys; print(sys.argv[1:])' ; touch {tmp_path / 'x'}"

    assert f"[';', 'touch', '{tmp_path / 'x'}']" == read_key(f"cmd:{command}", {}).reveal()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("modelplug-no-such-program", "FileNotFoundError"),
        ("'unclosed", "ValueError"),
        ("", "IndexError"),
        (
            f"{sys.executable} -c 'import sys; print(\"sk-leak\"); sys.exit(3)'",
            "CalledProcessError",
        ),
    ],
    ids=["absent", "unclosed", "empty", "failing"],
)
def test_a_command_that_fails_is_told_without_its_output(command: str, kind: str) -> None:
    with pytest.raises(MissingKey) as caught:
        read_key(f"cmd:{command}", {})

    assert f"the program of api_key='cmd:...' failed ({kind}); run it by hand" == str(caught.value)
    assert caught.value.__cause__ is None


def test_a_command_that_prints_nothing_gives_no_key() -> None:
    with pytest.raises(MissingKey) as caught:
        read_key(f"cmd:{sys.executable} -c pass", {})

    assert "the program of api_key='cmd:...' printed no key; run it by hand" == str(caught.value)
