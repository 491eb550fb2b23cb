"""Which distribution provides which name, for the mend of "not installed". Generated: nox -s known."""

DISTRIBUTIONS: dict[str, dict[str, str]] = {
    "create_online": {
        "openai": "modelplug-openai",
    },
    "deploy_local": {
        "llama_cpp": "modelplug-llama-cpp",
    },
    "format": {
        "json": "modelplug-formats",
        "typed": "modelplug-formats",
        "yaml": "modelplug-formats",
    },
    "runtime": {
        "local": "modelplug-local",
    },
    "weights": {
        "tiny": "modelplug-tiny",
        "tiny-embed": "modelplug-tiny",
        "tiny-rerank": "modelplug-tiny",
    },
}
