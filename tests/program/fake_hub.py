"""A hub that misbehaves on request: the Hugging Face API and Ollama's registry on one port, the files
themselves behind a redirect to another port, which for tokens is another host.

Faults are queued: each request for a file's bytes takes the next one of its queue.
"""
import collections
import functools
import hashlib
import http.server
import json
import os
import re
import socket
import struct
import threading
import time
import urllib.parse

CHUNK = 16384


@functools.lru_cache(maxsize=64)
def sha_of(data):
    return hashlib.sha256(data).hexdigest()


class Hub:
    def __init__(self):
        self.repos = {}       # "org/repo" -> {"commit": hex, "files": {name: bytes}, "gated": str}
        self.ollama = {}      # "library/name:tag" -> bytes of the model
        self.faults = collections.defaultdict(collections.deque)  # sha256 -> faults
        self.api_faults = collections.deque()
        self.is_down = False  # answers 503 to everything
        self.rate = 0         # bytes per second of each answer; 0: as fast as it goes
        self.requests = []    # (path, authorization, range) as they came
        self.served = []      # [start, bytes sent] per answer with a file's bytes
        self.lock = threading.Lock()
        self.api = self._listen(Api)
        self.cdn = self._listen(Cdn)
        self.url = f"http://127.0.0.1:{self.api.server_port}"
        self.cdn_url = f"http://localhost:{self.cdn.server_port}"

    def _listen(self, handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.hub = self
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def close(self):
        for server in (self.api, self.cdn):
            server.shutdown()
            server.server_close()

    def add(self, repo, files, commit=None, gated=""):
        commit = commit or hashlib.sha1(repo.encode()).hexdigest()
        self.repos[repo] = {"commit": commit, "files": files, "gated": gated}

    def blob(self, sha):
        for repo in self.repos.values():
            for data in repo["files"].values():
                if sha_of(data) == sha:
                    return data
        for data in self.ollama.values():
            if sha_of(data) == sha:
                return data
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        with self.server.hub.lock:
            self.server.hub.requests.append(
                (self.path, self.headers.get("Authorization"), self.headers.get("Range")))

    def answer(self, status, body=b"", headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True


class Api(Handler):
    def do_GET(self):
        hub, url = self.server.hub, urllib.parse.urlsplit(self.path)
        self.note()
        if hub.is_down:
            return self.answer(503, "down")
        if hub.api_faults:
            status, headers = hub.api_faults.popleft()
            return self.answer(status, "busy", headers)
        if url.path == "/api/models":
            words = urllib.parse.parse_qs(url.query)["search"][0].split()
            return self.answer(200, json.dumps([
                {"id": name, "downloads": 1000, "likes": 7, "pipeline_tag": "text-generation",
                 "lastModified": "2026-01-31T10:00:00.000Z", "gated": repo["gated"] or False,
                 "tags": [form for form in ("gguf", "safetensors", "onnx")
                          if any(file.endswith(form) for file in repo["files"])]}
                for name, repo in hub.repos.items() if all(word in name for word in words)]))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", url.path):
            return self.model(hub.repos.get(found[1]), found[1], found[2])
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", url.path):
            repo = hub.repos.get(found[1])
            data = repo and repo["files"].get(urllib.parse.unquote(found[3]))
            if data is None or found[2] != repo["commit"]:
                return self.answer(404, "", [("X-Error-Code", "EntryNotFound")])
            sha = sha_of(data)
            return self.answer(302, "", [("Location", f"{hub.cdn_url}/blob/{sha}"),
                                         ("X-Repo-Commit", repo["commit"]), ("X-Linked-Etag", sha)])
        if found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", url.path):
            data = hub.ollama.get(f"{found[1]}:{found[2]}")
            if data is None:
                return self.answer(404, '{"errors":[]}')
            sha = sha_of(data)
            return self.answer(200, json.dumps({"schemaVersion": 2, "layers": [
                {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{sha}",
                 "size": len(data)}]}))
        if found := re.fullmatch(r"/v2/(.+)/blobs/sha256:([0-9a-f]{64})", url.path):
            return self.answer(307, "", [("Location", f"{hub.cdn_url}/blob/{found[2]}")])
        return self.answer(404, "")

    def model(self, repo, name, revision):
        token = self.headers.get("Authorization")
        if repo is None:
            return self.answer(404 if token else 401, "", [("X-Error-Code", "RepoNotFound")])
        if repo["gated"] and token != f"Bearer {repo['gated']}":
            return self.answer(403 if token else 401, "", [("X-Error-Code", "GatedRepo")])
        if revision not in ("main", repo["commit"]):
            return self.answer(404, "", [("X-Error-Code", "RevisionNotFound")])
        siblings = []
        for file, data in repo["files"].items():
            entry = {"rfilename": file, "size": len(data),
                     "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
            if len(data) > 4096:
                entry["lfs"] = {"sha256": sha_of(data), "size": len(data),
                                "pointerSize": 134}
            siblings.append(entry)
        self.answer(200, json.dumps({"id": name, "sha": repo["commit"], "siblings": siblings}))


class Cdn(Handler):
    def do_GET(self):
        hub = self.server.hub
        self.note()
        sha = self.path.rsplit("/", 1)[-1]
        data = hub.blob(sha)
        if data is None and self.path.startswith("/file/"):
            data = hub.repos["files"]["files"].get(sha)
            sha = hashlib.sha256(data or b"").hexdigest()
        if data is None:
            return self.answer(404, "")
        with hub.lock:
            fault = hub.faults[sha].popleft() if hub.faults[sha] else ""
        etag, start, length, status = f'"{sha[:32]}"', 0, len(data), 200
        if fault.startswith("status"):
            _, code, *headers = fault.split(" ", 2)
            pairs = [tuple(h.split(": ")) for h in headers]
            return self.answer(int(code), "not now", pairs)
        if fault == "html":
            return self.answer(200, "<html>sign in to the network</html>", [("Content-Type", "text/html")])
        if fault == "json":
            return self.answer(200, '{"error": "busy"}', [("Content-Type", "application/json")])
        if fault == "empty":
            return self.answer(200, "")
        if fault == "redirect-loop":
            return self.answer(302, "", [("Location", self.path)])
        if fault == "redirect-file":
            return self.answer(302, "", [("Location", "file:///etc/passwd")])
        if fault == "other-etag":
            etag = '"another"'
        if fault == "weak-short":
            etag = "W/" + etag
        if fault == "wrong-hash":
            data = data[:-1] + bytes([data[-1] ^ 1])
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        may = self.headers.get("If-Range") in (None, etag) or fault == "ignores-if-range"
        if wanted and may and fault != "no-range":
            start = int(wanted[1])
            if start >= len(data):
                return self.answer(416, "<p>no", [("Content-Range", f"bytes */{len(data)}")])
            status = 206
            if wanted[2]:
                data = data[:int(wanted[2]) + 1]
            if fault == "wrong-start":
                start -= 1
        self.send_response(status)
        if status == 206 and fault == "star-range":
            self.send_header("Content-Range", f"bytes */{length}")
        elif status == 206 and fault != "no-content-range":
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{length}")
        body = data[start:]
        if fault.startswith("endless"):
            body += b"x" * 100_000
        sent_length = len(body) - 100 if fault == "length-low" else len(body)
        if fault == "gzip":
            self.send_header("Content-Encoding", "gzip")
        if fault in ("no-length", "endless-close"):
            self.send_header("Connection", "close")
        elif fault == "chunked-short":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n" % len(body) + body
        else:
            self.send_header("Content-Length", str(sent_length + (7 if fault == "length-high" else 0)))
        if fault != "no-etag":
            self.send_header("ETag", etag)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.send(body, start, fault)

    def send(self, body, start, fault):
        hub = self.server.hub
        record = [start, 0]
        with hub.lock:
            hub.served.append(record)
        began, limit = time.monotonic(), len(body)
        if fault in ("short", "reset", "stall", "weak-short", "chunked-short"):
            limit = len(body) // 2
        chunk = CHUNK if limit < 10_000_000 else 16 * CHUNK
        for at in range(0, limit, chunk):
            piece = body[at:min(at + chunk, limit)]
            self.wfile.write(piece)
            record[1] += len(piece)
            if hub.rate:
                late = began + record[1] / hub.rate - time.monotonic()
                if late > 0:
                    time.sleep(late)
        if fault == "stall":
            time.sleep(3)
        if fault == "reset":
            time.sleep(0.05)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if fault:
            self.close_connection = True
            if fault == "reset":
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR) if limit < len(body) else None


if __name__ == "__main__":  # by hand: serves the files named as one repository
    import sys
    hub = Hub()
    hub.add("org/model", {os.path.basename(p): open(p, "rb").read() for p in sys.argv[2:]})
    hub.rate = int(sys.argv[1])
    print(f"HF_ENDPOINT={hub.url}", flush=True)
    threading.Event().wait()
