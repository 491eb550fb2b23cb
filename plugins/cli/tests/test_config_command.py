"""`modelplug config`, and the options that name a config map."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_terminal import Run

MAP = """\
chat:
- id: prod
  source: openai
  name: moon-1
- id: lab
  source: openai
  name: moon-2
  api_key: env:TEAM_KEY
box:
  framework: llama_cpp
  url: http://127.0.0.1:9/v1
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A config map."""
    file = tmp_path / "team.yaml"
    file.write_text(MAP)
    return str(file)


def test_explain_reads_the_map_that_is_named(run: Run, path: str) -> None:
    done = run("explain", "chat", "--config", path, "--id", "lab")

    assert 0 == done.returncode
    assert done.stdout.startswith("moon-2 → online, openai (llm)\n")
    assert f"({path}:7 name)" in done.stdout


def test_no_config_reads_none_and_does_not_go_with_config(run: Run, path: str) -> None:
    wrong = run("explain", "chat", "--config", path, "--no-config")
    none = run("explain", "openai", "--no-config")

    assert (2, True) == (wrong.returncode, "contradict each other" in wrong.stderr)
    assert 0 == none.returncode


def test_ask_asks_the_entry(run: Run, path: str, server: object) -> None:
    done = run("ask", "chat", "hi", "--config", path, "--id", "lab")

    assert 1 == done.returncode
    assert f"error: {path}:5: api_key='env:TEAM_KEY' and TEAM_KEY is not set; set it" in done.stderr


def test_check_tells_every_fault_with_its_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("a: {sauce: x}\nb:\n  url: ${NOT_SET}\nc: {source: openai}\n")

    done = run("config", "check", str(file))

    assert 1 == done.returncode
    assert [
        f"{file}, line 1, a.sauce: unknown field 'sauce'; did you mean 'source'?; a provider's "
        "own call options go under options:",
        f"{file}, line 3, b.url: ${{NOT_SET}} and NOT_SET is not set; set NOT_SET, or take it out",
    ] == done.stdout.splitlines()


def test_check_tells_what_is_not_installed_and_notes_keys(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("a: {source: opnai}\nb: {framework: lama_cpp}\n")

    done = run("config", "check", str(file))

    assert 1 == done.returncode
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{file}:1 source: no installed plugin provides the source 'opnai'")
    assert second.startswith(f"{file}:2 framework: no installed plugin provides the engine")


def test_check_of_a_good_map_says_so(run: Run, path: str) -> None:
    done = run("config", "check", path)
    told = json.loads(run("config", "check", path, "--json").stdout)

    assert (0, f"{path}: 2 models, no fault\n") == (done.returncode, done.stdout)
    assert f"{path}:8 api_key: TEAM_KEY is not set\n" == done.stderr
    assert {"file": path, "faults": [], "notes": [f"{path}:8 api_key: TEAM_KEY is not set"]} == told


def test_a_key_in_the_file_is_noted_and_not_shown(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("a: {source: openai, api_key: sk-plain}\n")

    done = run("config", "check", str(file))

    assert 0 == done.returncode
    assert (
        f"{file}:1 api_key: the key itself is in the file; env:NAME keeps it out\n" == done.stderr
    )
    assert "sk-plain" not in done.stdout + done.stderr + run("config", "show", str(file)).stdout


def test_show_lists_the_entries_with_their_lines(run: Run, path: str) -> None:
    rows = [line.split("\t") for line in run("config", "show", path).stdout.splitlines()]

    assert [
        ["chat", "prod", "online", "openai", "moon-1", "", "", f"{path}:2"],
        ["chat", "lab", "online", "openai", "moon-2", "", "", f"{path}:5"],
        ["box", "", "local", "llama_cpp", "", "http://127.0.0.1:9/v1", "", f"{path}:9"],
    ] == rows
    assert "argument config" == json.loads(run("config", "show", path, "--json").stdout)["because"]


def test_the_schema_is_printed(run: Run) -> None:
    schema = json.loads(run("config", "schema").stdout)

    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]


OTHERS = {
    "lazyllm": (
        "q:\n  - {id: a, source: qwen, api_key: $QWEN_KEY, task: llm, skip_auth: true}\n"
        "  - {framework: vllm, url: http://h:8000/v1, deploy_config: {x: 1}}\n",
        "q:\n- id: a\n  source: qwen\n  api_key: env:QWEN_KEY\n  type: llm\n"
        "- framework: vllm\n  url: http://h:8000/v1\n",
        ["q: skip_auth: True"],
    ),
    "litellm": (
        "model_list:\n- model_name: gpt\n  litellm_params:\n    model: openai/gpt-5\n"
        "    api_key: os.environ/K\n    api_base: https://h/v1\n    temperature: 0.2\n    rpm: 6\n"
        "  model_info: {mode: chat, id: one}\n"
        "- model_name: box\n  litellm_params: {model: hosted_vllm/q, api_base: 'http://h:1/v1'}\n"
        "router_settings: {num_retries: 2}\n",
        "gpt:\n  source: openai\n  name: gpt-5\n  api_key: env:K\n  url: https://h/v1\n"
        "  temperature: 0.2\n  type: llm\n  id: one\nbox:\n  name: q\n  url: http://h:1/v1\n",
        ["gpt: rpm: 6", "router_settings: a setting of LiteLLM's server"],
    ),
    "ollama": (
        '# mine\nFROM /weights/m.gguf\nPARAMETER num_ctx 4096\nPARAMETER stop "<|x|>"\n'
        'PARAMETER temperature 0.5\nSYSTEM """be\nFROM elsewhere\nbrief"""\n',
        "{folder}:\n  source: local\n  name: /weights/m.gguf\n  deploy_config:\n"
        "    context: 4096\n  stop:\n  - <|x|>\n  temperature: 0.5\n",
        ["{folder}: SYSTEM be FROM elsewhere brief"],
    ),
}


@pytest.mark.parametrize("system", OTHERS)
def test_another_systems_file_becomes_a_map(run: Run, tmp_path: Path, system: str) -> None:
    given, expected, left_out = OTHERS[system]
    file = tmp_path / "other.yaml"
    file.write_text(given)

    done = run("config", "migrate", "--from", system, str(file), "-o", str(tmp_path / "new.yaml"))

    text = (tmp_path / "new.yaml").read_text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    lost = [each.format(folder=tmp_path.name) for each in left_out]
    assert expected.format(folder=tmp_path.name) == text[text.index("\n", text.rindex("# ")) + 1 :]
    assert [f"# from other.yaml of {system}", *(f"# left out, {each}" for each in lost)] == comments
    assert (1, lost) == (done.returncode, [" ".join(done.stderr.split())] if len(lost) == 1 else done.stderr.splitlines())  # fmt: skip  # noqa: E501
    assert 0 == run("config", "check", str(tmp_path / "new.yaml")).returncode or system == "lazyllm"


@pytest.mark.parametrize(
    ("system", "text", "told"),
    [
        ("litellm", "a: 1\n", "has no model_list; take LiteLLM's config.yaml"),
        ("lazyllm", "a: 1\n", "a is no table of fields; is it the right file"),
        ("ollama", "SYSTEM x\n", "has no FROM; take Ollama's Modelfile"),
        ("litellm", "a: [\n", "this is not YAML"),
    ],
)
def test_a_file_of_something_else_is_told(
    run: Run, tmp_path: Path, system: str, text: str, told: str
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(text)

    done = run("config", "migrate", "--from", system, str(file))

    assert (1, "") == (done.returncode, done.stdout)
    assert told in done.stderr


def test_doctor_checks_the_map_the_hub_services_and_interpreters(
    run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("a: {sauce: x}\n")
    env |= {"MODELPLUG_AUTO_MODEL_CONFIG_MAP_PATH": str(file), "MODELPLUG_OFFLINE": "1"}

    told = json.loads(run("doctor", "--json").stdout)["checks"]
    found = {(check["area"], check["name"]): check for check in told}

    assert "broken" == found["config", "map"]["state"]
    assert "a provider's own call options go under options:" == found["config", "map"]["mend"]
    assert "modelscope: not asked" == found["network", "hub"]["found"]
    assert "note" == found["key", "doubao_speech"]["state"]
    pair = "DOUBAO_SPEECH_APP_ID and DOUBAO_SPEECH_ACCESS_TOKEN"
    assert pair in found["key", "doubao_speech"]["mend"]
    assert found["local", "engine llama_cpp"]["found"].startswith("runs in ")
