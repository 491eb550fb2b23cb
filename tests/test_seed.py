"""
The reference system's own examples, run with one change: `import modelplug as lazyllm`.

Names of sources, engines and URLs that this version has not are swapped for ones that it
has, all of them in `SWAPS`; names of weights stay, and are found under MODELPLUG_MODEL_PATH.
The one on attaching names its model and hands on the key, since an engine here has both.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

import modelplug as mp
from modelplug import plugins
from modelplug.errors import PluginNotFound
from modelplug.testing import FaultServer

SWAPS = {
    'source="sensenova"': 'source="openai"',
    "SenseNova-V6-5-Pro": "gpt-5.4-mini",
    "source='qwen', model='text-embedding-v3'": "source='openai', model='text-embedding-3-small'",
    "lazyllm.deploy.vllm": "lazyllm.deploy.llama_cpp",
}

WEIGHTS = {
    "qwen2-1.5b": "tiny",
    "bge-large-zh-v1.5": "tiny-embed",
    "bge-reranker-large": "tiny-rerank",
}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of weights: the toy ones under the names of the examples."""
    root = tmp_path / "weights"
    for name, shipped in WEIGHTS.items():
        installed = plugins.installed()
        source = installed.manifest("weights", shipped).folder / installed.weights(shipped).gguf
        (root / name).mkdir(parents=True)
        shutil.copy(source, root / name / "model.gguf")
    monkeypatch.setenv("MODELPLUG_MODEL_PATH", str(root))
    return root


def run(example: str, **names: Any) -> dict[str, Any]:
    """Run *example* after the swaps; the names that it sets."""
    for old, new in SWAPS.items():
        example = example.replace(old, new)
    namespace: dict[str, Any] = {"lazyllm": mp, **names}
    exec(example, namespace)
    return namespace


def test_auto_model_with_a_source(
    provider: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run("""
llm = lazyllm.AutoModel(
        source="sensenova",
        model="SenseNova-V6-5-Pro"
    )
response = llm("你好，简单介绍一下你自己。")
print(response)
""")

    assert "The capital of France is Paris.\n" == capsys.readouterr().out
    sent = provider.requests[0].json
    assert [{"role": "user", "content": "你好，简单介绍一下你自己。"}] == sent["messages"]
    assert "gpt-5.4-mini" == sent["model"]


def test_an_online_embedding(provider: FaultServer) -> None:
    made = run("""
embed = lazyllm.OnlineModule(type='embed', source='qwen', model='text-embedding-v3')
vec = embed('一段文本')
""")

    assert [4.0, 0.5, -0.25] == made["vec"]


def test_a_local_model_by_name(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("""
model = lazyllm.TrainableModule('qwen2-1.5b').start()
response = model('Hello')
print(response)
model.stop()
""")

    assert "Tiny" in capsys.readouterr().out


def test_a_local_model_by_path(weights: Path) -> None:
    made = run(
        "model = lazyllm.TrainableModule(path)\nresponse = model('1+1', temperature=0)\n"
        "model.stop()\n",
        path=str(weights / "qwen2-1.5b"),
    )

    assert "2" == made["response"]


def test_sharing_a_model(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run("""
# 创建基础模型
base_model = lazyllm.TrainableModule('qwen2-1.5b').start()

# 创建共享实例，使用相同的模型但不同的 prompt
chat_model = base_model.share(prompt="你是一个聊天机器人")
code_model = base_model.share(prompt="你是一个编程助手")

# 共享时可以指定不同的配置
shared_model = base_model.share(
    prompt="新的 prompt",                    # 新的 prompt
    format=lazyllm.formatter.JsonFormatter(), # 新的格式化器
    stream={'color': 'blue'}                 # 新的流式配置
)
""")
    base = made["base_model"]
    try:
        assert {base.url} == {
            made[name].url for name in ("chat_model", "code_model", "shared_model")
        }
        assert isinstance(made["chat_model"]("Hello"), str)
        answer = made["shared_model"].share(prompt="")(
            "Give JSON with name Hugo and age 37.", temperature=0
        )
        assert {"name": "Hugo", "age": 37} == answer
        assert '{"name": "Hugo", "age": 37}' in capsys.readouterr().out
    finally:
        base.stop()


def test_attaching_to_a_url(weights: Path) -> None:
    made = run("""
# 连接到已有的 HTTP 服务
model = lazyllm.TrainableModule('qwen2-1.5b').deploy_method(
    lazyllm.deploy.vllm,
).start()

# 连接到上面部署的模型
remote_model = lazyllm.TrainableModule('qwen2-1.5b').deploy_method(
    lazyllm.deploy.vllm,
    url=model.url + '/',
    api_key=model.api_key,
)
# 使用远程模型进行推理
response = remote_model("你好")
status = remote_model.status
model.stop()
""")

    assert made["response"]
    assert "attached" == made["status"]


def test_a_local_embedding(weights: Path) -> None:
    made = run("""
# 创建 Embedding 模型
embedding_model = lazyllm.TrainableModule('bge-large-zh-v1.5')
# 进行文本嵌入
embeddings = embedding_model("这是一个测试文本")
embedding_model.stop()
""")

    assert 1 == pytest.approx(math.hypot(*made["embeddings"]), abs=1e-3)


def test_a_local_ranking(weights: Path) -> None:
    made = run("""
# 创建 Rerank 模型
rerank_model = lazyllm.TrainableModule('bge-reranker-large')
# 进行重排序
query = "用户查询"
documents = ["文档1", "文档2", "文档3", "文档4"]
top_n = 2
results = rerank_model(query, documents=documents, top_n=top_n)
# 返回 [(index, score), ...] 格式的结果
rerank_model.stop()
""")
    results = made["results"]

    assert 2 == len(results)
    assert {(int, float)} == {(type(index), type(score)) for index, score in results}
    assert results[0][1] >= results[1][1]


def test_fine_tuning_says_what_is_missing() -> None:
    with pytest.raises(PluginNotFound) as caught:
        run("method = lazyllm.finetune.flagembedding")

    assert "the trainer 'flagembedding'" in str(caught.value)
