"""
A program with an engine, to be killed: `caller.py WHAT argv-of-fake-engine...`.

It prints the engine's port when it has launched it and `ready` once that is so; then, by
WHAT, it idles, reads a stream without end, ends in one of many ways, or forks.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import modelplug_local
from modelplug.types import Plan, Secret

what, *arguments = sys.argv[1:]
FAKE = str(Path(__file__).with_name("fake_engine.py"))


def plan_for(host: str, port: int, token: Secret) -> Plan:
    argv = [sys.executable, FAKE, str(port), *arguments]
    return Plan(argv=argv, env={"FAKE_TOKEN": token.reveal()}, start_timeout=60)


def models() -> int:
    """The status of a call to the engine."""
    request = urllib.request.Request(engine.url + "/models")
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")
    with urllib.request.urlopen(request) as response:
        status: int = response.status
    return status


if what == "ctrl-c":
    # It waits until `sigwait` asks for it: no exception between two lines.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
if what == "from-a-thread":
    with ThreadPoolExecutor(1) as pool:
        engine = pool.submit(modelplug_local.runtime.launch, "fake", plan_for).result()
else:
    engine = modelplug_local.runtime.launch("fake", plan_for)
print(urlsplit(engine.url).port, flush=True)
if what == "starting":
    signal.pause()
engine.wait()
print("ready", flush=True)
if what == "stream":
    request = urllib.request.Request(engine.url.removesuffix("/v1") + "/stream")
    request.add_header("Authorization", f"Bearer {engine.token.reveal()}")
    with urllib.request.urlopen(request) as response:
        while response.read(4096):
            pass
elif what == "idle":
    signal.pause()
elif what == "stop":
    print("stopping", flush=True)
    engine.stop()
elif what == "raise":
    sys.exit("a program's own mistake")
elif what in ("fork", "unseen-fork"):
    # A child that outlives its parent, until the engine is gone. Forked by a C library it
    # inherits all descriptors, and Python's own hooks do not run.
    pidfd = os.pidfd_open(engine.pid or 0)
    if (os.fork if what == "fork" else ctypes.CDLL(None).fork)() == 0:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
elif what == "fork-and-go-on":
    # A child whose end, with all the exit handlers, must not end the engine.
    child = os.fork()
    if child == 0:
        engine.stop()
        sys.exit(0)
    os.waitpid(child, 0)
    print(models(), engine.status, flush=True)
elif what == "from-a-thread":
    print(models(), engine.status, flush=True)
elif what == "ctrl-c":
    signal.sigwait({signal.SIGINT})
    assert models() == 200
    print("interrupted; the engine is", engine.status, flush=True)
elif what == "exec":
    os.execv("/bin/cat", ["cat"])
elif what == "os-exit":
    os._exit(0)
else:
    assert what == "end", what
    assert threading.active_count() > 1  # the supervisor is still at work
