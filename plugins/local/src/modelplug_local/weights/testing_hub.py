"""
A hub on loopback that speaks the protocols of ModelScope and of Hugging Face, and misbehaves
on demand. The clients that talk to it are the real ones.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import define, field

SHA = "a" * 40
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_HF = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?")
_MS = re.compile(r"/api/v1/models/([^/]+/[^/]+)/(repo/files|repo|revisions)")
_LFS = (".safetensors", ".gguf", ".bin")


@define
class Fault:
    """
    What is wrong with answers for files whose path ends with `on`, the first `times` of them.

    `cut` closes the connection after that many bytes, `stall` stays silent there, `drip` goes
    on there with a byte in 0.2 s; `status` answers with that, `headers` with it; `flip` turns
    a bit; `page` is an HTML page with status 200; `redirect` another base URL.
    """

    on: str = ""
    times: int = 1_000_000
    cut: int | None = None
    stall: int | None = None
    drip: int | None = None
    status: int | None = None
    headers: dict[str, str] = field(factory=dict)
    flip: bool = False
    page: bool = False
    redirect: str = ""


@define
class Hub:
    """Repositories by name, each a mapping of paths to bytes; every request is in `seen`."""

    repositories: dict[str, dict[str, bytes]] = field(factory=dict)
    faults: list[Fault] = field(factory=list)
    listing_faults: list[Fault] = field(factory=list)
    token: str = ""
    rate: float = 0.0  # bytes a second; 0 is as fast as it goes
    seen: list[tuple[str, str, Mapping[str, str]]] = field(factory=list)
    sent: dict[str, int] = field(factory=dict)  # bytes of each path
    _server: Any = None
    _closing: threading.Event = field(factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Hub:
        handler = type("Bound", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, faults: list[Fault], path: str) -> Fault:
        """The fault for *path*, counted down."""
        for fault in faults:
            if path.endswith(fault.on) and fault.times > 0:
                fault.times -= 1
                return fault
        return Fault()

    def paths(self, method: str = "GET") -> list[str]:
        """What was asked for with *method*."""
        return [path for verb, path, _ in self.seen if verb == method]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        return

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.seen.append((self.command, self.path, dict(self.headers)))
        parts = urlsplit(self.path)
        query, path = dict(parse_qsl(parts.query)), unquote(parts.path)
        if found := _MS.fullmatch(path):
            self._modelscope(found[1], found[2], query)
        elif found := _HF.fullmatch(path):
            self._listing(found[1], lambda files: _of_hugging_face(found[1], found[2], files))
        elif found := _FILE.fullmatch(path):
            self._file(found[1], found[3])
        else:
            self._json({"Code": 404, "Message": "no route"}, 404)

    def _modelscope(self, repository: str, what: str, query: dict[str, str]) -> None:
        if what == "repo":
            self._file(repository, query["FilePath"])
        else:
            self._listing(repository, _of_modelscope)

    def _listing(self, repository: str, form: Any) -> None:
        if self._refused(self.hub.take(self.hub.listing_faults, repository)):
            return
        files = self._repository(repository)
        if files is not None:
            self._json(form(files))

    def _repository(self, repository: str) -> dict[str, bytes] | None:
        if self.hub.token and f"Bearer {self.hub.token}" != self.headers.get("Authorization"):
            cookie = self.headers.get("Cookie", "")
            if f"m_session_id={self.hub.token}" not in cookie:
                headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
                self._json({"Code": 10010205001, "Message": "no access"}, 403, headers)
                return None
        files = self.hub.repositories.get(repository)
        if files is None:
            headers = {"X-Error-Code": "RepoNotFound"}
            self._json({"Code": 10010205001, "Message": "record not found"}, 404, headers)
        return files

    def _refused(self, fault: Fault) -> bool:
        if fault.status:
            self._json(
                {"Code": fault.status, "Message": "made to fail"}, fault.status, fault.headers
            )
        elif fault.page:
            page = b"<html><body><form>Please log in to the network</form></body></html>"
            self._body(page, 200, {"Content-Type": "text/html", "ETag": '"page"'})
        elif fault.redirect:
            self._body(b"", 302, {"Location": fault.redirect + self.path})
        elif fault.stall == 0:
            self.hub._closing.wait(60)
            self.close_connection = True
        else:
            return False
        return True

    def _file(self, repository: str, name: str) -> None:
        # Faults are for bodies: a client asks for headers first, and again.
        fault = self.hub.take(self.hub.faults, name) if self.command == "GET" else Fault()
        if self._refused(fault):
            return
        files = self._repository(repository)
        if files is None:
            return
        if name not in files:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        data = files[name]
        first, last, status = 0, len(data) - 1, 200
        if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, status = int(asked[1]), 206
            last = min(int(asked[2]), last) if asked[2] else last
            if first >= len(data):
                self._json({}, 416, {"Content-Range": f"bytes */{len(data)}"})
                return
        body = data[first : last + 1]
        if fault.flip:
            body = bytes([body[0] ^ 1]) + body[1:]
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{_etag(name, data)}"', "X-Repo-Commit": SHA}
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self._body(body, status, headers, fault, name)

    def _json(
        self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps(value).encode()
        self._body(body, status, {"Content-Type": "application/json", **(headers or {})})

    def _body(
        self,
        body: bytes,
        status: int,
        headers: Mapping[str, str],
        fault: Fault | None = None,
        name: str = "",
    ) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for piece in self._pieces(body, fault or Fault()):
                self.wfile.write(piece)
                self.hub.sent[name] = self.hub.sent.get(name, 0) + len(piece)
        except OSError:  # the client has gone
            self.close_connection = True

    def _pieces(self, body: bytes, fault: Fault) -> Iterator[bytes]:
        for limit in (fault.cut, fault.stall, fault.drip):
            if limit is not None and limit < len(body):
                yield body[:limit]
                self.wfile.flush()
                self.close_connection = True
                if fault.stall is not None:
                    self.hub._closing.wait(60)
                if fault.drip is not None:
                    for at in range(limit, len(body)):
                        if self.hub._closing.wait(0.2):
                            break
                        yield body[at : at + 1]
                return
        if not self.hub.rate:
            yield body
            return
        step = max(1, int(self.hub.rate / 50))
        for at in range(0, len(body), step):
            yield body[at : at + step]
            time.sleep(step / self.hub.rate)


def _etag(name: str, data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if name.endswith(_LFS) else blob_id(data)


def blob_id(data: bytes) -> str:
    """As git names it."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - git's


def _of_modelscope(files: Mapping[str, bytes]) -> dict[str, Any]:
    listed = [
        {
            "Name": path.rpartition("/")[2],
            "Path": path,
            "Type": "blob",
            "Size": len(data),
            "Sha256": hashlib.sha256(data).hexdigest(),
            "Revision": SHA,
            "CommittedDate": 1_700_000_000,
            "IsLFS": path.endswith(_LFS),
            "Mode": "100644",
        }
        for path, data in files.items()
    ]
    return {"Code": 200, "Success": True, "Message": "success", "Data": {"Files": listed}}


def _of_hugging_face(repository: str, what: str | None, files: Mapping[str, bytes]) -> Any:
    tree = []
    for path, data in files.items():
        entry: dict[str, Any] = {"size": len(data)}
        if path.endswith(_LFS):
            digest = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": digest, "sha256": digest, "size": len(data), "pointerSize": 130}
        tree.append((path, blob_id(data), entry))
    if what == "tree":
        return [{"type": "file", "path": p, "oid": oid, **entry} for p, oid, entry in tree]
    siblings = [{"rfilename": p, "blobId": oid, **entry} for p, oid, entry in tree]
    about = {"id": repository, "modelId": repository, "sha": SHA, "private": False, "tags": []}
    return {**about, "siblings": siblings}
