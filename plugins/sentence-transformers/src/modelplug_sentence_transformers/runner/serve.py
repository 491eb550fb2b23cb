"""
Serves one model with sentence-transformers: `serve.py '{"path": ..., "type": ..., ...}'`.

Run by path, in any interpreter that has sentence-transformers: the plan puts this folder and that
of modelplug-local's server on its path, and nothing else of modelplug.
"""

from __future__ import annotations

from embed_server.service import load  # type: ignore[import-not-found]  # beside this file
from engine_server import run

if __name__ == "__main__":
    run(load)
