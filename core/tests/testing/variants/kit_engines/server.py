"""An engine: OpenAI's chat wire on loopback, with one answer for all."""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WORDS = ["Hello", " to", " you"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    flaw = ""
    calls = 0

    def do_GET(self) -> None:
        self.reply(200, {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        wanted = f"Bearer {os.environ['KIT_ENGINE_TOKEN']}"
        if self.headers.get("authorization") != wanted and self.flaw != "asks_for_no_token":
            self.reply(401, {"error": {"message": "no token", "type": "authentication_error"}})
        elif body.get("stream"):
            self.stream()
        else:
            self.reply(200, self.answer())

    def answer(self) -> object:
        Handler.calls += 1
        moody = self.flaw == "says_another_thing_async" and Handler.calls == 2
        text = "No" if moody else "".join(WORDS)
        return {"choices": [{"message": {"role": "assistant", "content": text}}]}

    def stream(self) -> None:
        chunks: list[object] = [{"choices": [{"delta": {"content": word}}]} for word in WORDS]
        chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        lines = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
        self.send("text/event-stream", "".join(f"data: {line}\n\n" for line in lines))

    def reply(self, status: int, body: object) -> None:
        self.send("application/json", json.dumps(body), status)

    def send(self, kind: str, text: str, status: int = 200) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main(flaw: str, weights: str, port: str, *_: str) -> int:
    if Path(weights).read_text(encoding="ascii") != "whole weights\n" * 3:
        if flaw != "dies_in_silence":
            sys.stderr.write(f"cannot load {weights}: it ends too early\n")
        return 1
    if flaw == "leaves_a_child":
        wait = "import time; time.sleep(20)"
        subprocess.Popen([sys.executable, "-c", wait], start_new_session=True)
    if flaw == "logs_the_token":
        sys.stderr.write(f"token: {os.environ['KIT_ENGINE_TOKEN']}\n")
    Handler.flaw = flaw
    sys.stderr.write("listening\n")
    sys.stderr.flush()
    with ThreadingHTTPServer(("127.0.0.1", int(port)), Handler) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
