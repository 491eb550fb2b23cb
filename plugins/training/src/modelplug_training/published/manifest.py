"""What `modelplug_finetune.json` tells: enough to do it again, and to serve it as trained."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path
from typing import Any

from modelplug.plugins import installed
from modelplug.types import Comparison, Verdict
from modelplug_training.job import Job
from modelplug_training.proof.tensors import sha256
from modelplug_training.published.gguf_files import chat_template
from modelplug_training.runs.events import History

SCHEMA = 1


def manifest_of(
    job: Job, history: History, verdict: Verdict, compared: Comparison
) -> dict[str, Any]:
    """All of it but what serving and publishing add."""
    begun, finished = history.begun or {}, history.finished or {}
    template = job.template or chat_template(job.base.path)
    return {
        "modelplug_finetune": SCHEMA,
        "name": job.shelf.name,
        "type": str(job.base.type),
        "published": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "base": {
            "name": job.recipe.base,
            "path": str(job.base.path),
            "sha256": _hashes(job.base.path),
        },
        "trainer": {
            "name": job.trainer,
            "plugin": installed().find("finetune", job.trainer).origin,
            "method": job.asked.method,
            "settings": job.asked.settings.given(),
            "options": dict(job.asked.options),
            "parameters": begun.get("parameters"),
            "packages": begun.get("packages"),
            "python": job.python,
        },
        "machine": {
            "device": begun.get("device"),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
        },
        "data": {
            "train": job.train.to_dict(),
            "eval": job.evaluation.to_dict() if job.evaluation else None,
        },
        "training": {
            "steps": history.step,
            "of": history.total,
            "stopped": bool(finished.get("stopped")),
            "seconds": round(history.at - history.began, 1),
            "last_loss": history.losses[-1].loss if history.losses else None,
            "resumed_from": begun.get("resumed_from"),
            "warnings": history.warnings,
        },
        "model": {
            **{
                key: finished.get(key) for key in ("pooling", "normalize", "instruction", "max_len")
            },
            "chat_template_sha256": template and hashlib.sha256(template.encode()).hexdigest(),
        },
        "metrics": {
            side: {name: pair[place] for name, pair in compared.metrics.items()}
            for place, side in enumerate(("base", "tuned"))
        },
        "not_measured": list(compared.remarks),
        "measured_on": "eval" if job.evaluation else "train",
        "checks": [
            {"name": check.name, "passed": check.passed, "told": check.told}
            for check in verdict.checks
        ],
        "proven": verdict.passed,
    }


def _hashes(folder: Path) -> dict[str, str]:
    files = [*sorted(folder.glob("*.safetensors")), folder / "config.json"]
    return {file.name: sha256(file) for file in files if file.is_file()}
