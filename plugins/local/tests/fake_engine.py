"""
A stand-in for an engine: `fake_engine.py PORT [what it shall do]`, token in FAKE_TOKEN.

Routes: /health, /v1/models, /pids, /stream (endless), /crash (exit status 3).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--gate", help="a fifo: do not listen before it is opened for writing")
parser.add_argument("--loading", type=int, default=0, help="answer 503 so many times")
parser.add_argument("--no-health", action="store_true")
parser.add_argument("--say", default="")
parser.add_argument("--exit", type=int)
parser.add_argument("--kill-self", type=int)
parser.add_argument("--hang", action="store_true")
parser.add_argument("--grandchild", action="store_true", help="start one in its own session")
parser.add_argument("--ignore-term", action="store_true")
parser.add_argument("--crash-after-first", help="a file: if it is there, exit with status 4")
given = parser.parse_args()

TOKEN = os.environ.get("FAKE_TOKEN", "")
healths = itertools.count()
SLEEPER = "import signal\n{}\nprint(flush=True); signal.pause()"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
pids = {"engine": os.getpid()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            if given.no_health:
                self.answer(404)
            else:
                self.answer(503 if next(healths) < given.loading else 200)
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(401)
        elif self.path == "/v1/models":
            self.answer(200, {"data": []})
        elif self.path == "/pids":
            self.answer(200, pids)
        elif self.path == "/stream":
            self.stream()
        elif self.path == "/crash":
            os._exit(3)
        else:
            self.answer(404)

    def answer(self, status: int, body: object = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self) -> None:
        self.send_response(200)
        self.end_headers()
        for number in itertools.count():
            self.wfile.write(f"data: {number}\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


print(given.say, file=sys.stderr, flush=True)
if given.ignore_term:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if given.grandchild:
    argv = [sys.executable, "-c", SLEEPER.format(DEAF if given.ignore_term else "")]
    child = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    pids["grandchild"] = child.pid
if given.kill_self:
    os.kill(os.getpid(), given.kill_self)
if given.exit is not None:
    sys.exit(given.exit)
if given.crash_after_first:
    if Path(given.crash_after_first).exists():
        sys.exit(4)
    Path(given.crash_after_first).touch()
if given.gate:
    Path(given.gate).read_bytes()
if given.hang:
    while True:
        signal.pause()
ThreadingHTTPServer(("127.0.0.1", given.port), Handler).serve_forever()
