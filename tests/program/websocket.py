"""A WebSocket client that can misbehave: RFC 6455 by hand, since the standard library has none."""
import base64
import hashlib
import json
import os
import socket
import struct

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def frame(opcode, payload=b"", final=True, masked=True, reserved=0, size=None):
    """A frame as clients send it; `size`: the length that it claims."""
    size = len(payload) if size is None else size
    head = bytes([final << 7 | reserved << 4 | opcode])
    mark = 128 if masked else 0
    if size < 126:
        head += bytes([mark | size])
    elif size < 65536:
        head += struct.pack(">BH", mark | 126, size)
    else:
        head += struct.pack(">BQ", mark | 127, size)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


class Client:
    def __init__(self, server, path, headers=None, tls=None, timeout=30):
        raw = socket.create_connection((server.host, server.port), timeout=timeout)
        self.socket = tls.wrap_socket(raw, server_hostname="localhost") if tls else raw
        self.held, self.code, self.reason = b"", None, ""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {"Host": f"localhost:{server.port}", "Connection": "Upgrade", "Upgrade": "websocket",
                 "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **(headers or {})}
        self.send(f"GET {path} HTTP/1.1\r\n".encode() +
                  "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode() + b"\r\n")
        head = self._until(b"\r\n\r\n")
        status = int(head.split()[1])
        if status != 101:
            self.socket.close()
            raise Refused(status, (head + self.held).decode())
        accept = base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if b"sec-websocket-accept: " + accept.lower() not in head.lower():
            raise AssertionError(f"wrong Sec-WebSocket-Accept in {head}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed without a farewell")
        self.held += data

    def _until(self, end):
        while end not in self.held:
            self._more()
        at = self.held.index(end) + len(end)
        taken, self.held = self.held[:at], self.held[at:]
        return taken

    def _exactly(self, size):
        while len(self.held) < size:
            self._more()
        taken, self.held = self.held[:size], self.held[size:]
        return taken

    def frame(self):
        """(opcode, payload) of the next one."""
        first, size = self._exactly(2)
        assert first & 0xF0 == 0x80 and size < 128, "servers send whole frames without masks"
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return first & 15, self._exactly(size)

    def events(self):
        """The JSON of each message, until the server closes; then `code` and `reason` say why."""
        while True:
            opcode, payload = self.frame()
            if opcode == TEXT:
                yield json.loads(payload)
            elif opcode == PING:
                self.send(frame(PONG, payload))
            elif opcode == CLOSE:
                self.code = struct.unpack(">H", payload[:2])[0] if len(payload) > 1 else None
                self.reason = payload[2:].decode()
                return

    def close(self, code=1000):
        self.send(frame(CLOSE, struct.pack(">H", code)))
        for _ in self.events():
            pass
        return self.code
