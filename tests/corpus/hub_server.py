"""A data hub on this machine that speaks as much of the hub's protocol as huggingface_hub needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """One data set with its commits, newest first; every request is written down.

    Files of ``large`` bytes or more are said to be large, so their checksum is a sha256.
    """

    repo: str
    files: dict[str, bytes]
    commits: tuple[str, ...]
    large: int = 200
    url: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    """Files of which other bytes of the same length are sent."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """Files whose next answer breaks off after so many bytes."""
    sent: dict[str, int] = field(default_factory=dict)
    """Bytes sent of each file."""

    def facts_of(self, path: str) -> dict:
        data = self.files[path]
        sha1 = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        facts: dict = {"size": len(data)}
        if len(data) >= self.large:
            facts["lfs"] = {"sha256": self.sha256(path), "size": len(data), "pointerSize": 130}
        return {**facts, "blobId": sha1}

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.files[path]).hexdigest()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._answer(body=True, posted=self.rfile.read(length))

    def _answer(self, *, body: bool, posted: bytes = b"") -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path, self.headers.get("Range")))
        api, files = f"/api/datasets/{hub.repo}", f"/datasets/{hub.repo}/resolve/"
        if path.startswith(f"{api}/commits/"):
            commits = [
                {"id": each, "title": "", "message": "", "authors": [], "date": _DATE}
                for each in hub.commits
            ]
            self._json(commits)
        elif path == api or path.startswith(f"{api}/revision/"):
            revision = path.removeprefix(api).removeprefix("/revision/")
            if revision not in {"", "main", *hub.commits}:
                self._refuse("RevisionNotFound")
                return
            siblings = [{"rfilename": name, **hub.facts_of(name)} for name in hub.files]
            sha = revision if revision in hub.commits else hub.commits[0]
            self._json({"id": hub.repo, "sha": sha, "siblings": siblings, "private": False})
        elif path.startswith(f"{api}/paths-info/"):
            wanted = json.loads(posted)["paths"]
            self._json([self._tree_entry(name) for name in wanted if name in hub.files])
        elif path.startswith(f"{api}/tree/"):
            self._json([self._tree_entry(name) for name in hub.files])
        elif path.startswith(files):
            _, _, name = path.removeprefix(files).partition("/")
            self._file(name, body=body)
        else:
            self._refuse("RepoNotFound")

    def _tree_entry(self, name: str) -> dict:
        facts = self.hub.facts_of(name)
        entry = {"type": "file", "path": name, "oid": facts["blobId"], "size": facts["size"]}
        if "lfs" in facts:
            entry["lfs"] = {**facts["lfs"], "oid": facts["lfs"]["sha256"]}
        return entry

    def _file(self, name: str, *, body: bool) -> None:
        hub = self.hub
        if name not in hub.files:
            self._refuse("EntryNotFound")
            return
        data = hub.files[name]
        if name in hub.damaged:
            data = bytes(reversed(data))
        start, end = 0, len(data)
        asked = self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1 if last else len(data)
        facts = hub.facts_of(name)
        etag = facts["lfs"]["sha256"] if "lfs" in facts else facts["blobId"]
        part = data[start:end]
        self.send_response(206 if asked else 200)
        self.send_header("X-Repo-Commit", hub.commits[0])
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(data)}")
        self.end_headers()
        if body:
            cut = hub.cut_after.pop(name, None)
            part = part[:cut]
            hub.sent[name] = hub.sent.get(name, 0) + len(part)
            self.wfile.write(part)
            if cut is not None:
                self.close_connection = True

    def _json(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


_DATE = "2025-01-02T03:04:05.000Z"
