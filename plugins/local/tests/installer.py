"""A program that installs acme's environment; prints what it is told, and ends with the folder."""

from __future__ import annotations

from modelplug_local.environments.install import install

((made, is_new),) = install("acme", tell=lambda line: print("told", line, flush=True))
print("new" if is_new else "old", made.path, flush=True)
