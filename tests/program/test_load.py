"""Many clients at once, clients that leave, and pages that must not come in."""
import asyncio
import json
import time
import unittest

import program

CLIENTS = 200


def request_bytes(server, body):
    data = json.dumps(body).encode()
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n")
    return head.encode() + data


async def stream(server, index, leave_after=None):
    """Reads a stream to its end, or leaves after some events.  Returns (events, finish, done)."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request_bytes(server, {
        "model": "builtin", "stream": True, "max_tokens": 60, "seed": index, "temperature": 1,
        "ignore_eos": True,
        "messages": [{"role": "user", "content": f"Question {index}: what can you do?"}]}))
    await writer.drain()
    status = await reader.readline()
    if b" 200 " not in status:
        raise AssertionError(f"client {index}: {status} {await reader.read(2000)}")
    events, finishes, done = 0, 0, 0
    while not done:
        line = await asyncio.wait_for(reader.readline(), 120)
        if not line:
            break
        if not line.startswith(b"data: "):
            continue
        if line.strip() == b"data: [DONE]":
            done += 1
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise AssertionError(f"client {index}: {event}")
        events += 1
        finishes += sum(1 for choice in event["choices"] if choice.get("finish_reason"))
        if leave_after is not None and events >= leave_after:
            writer.transport.abort()
            return events, 0, 0
    writer.close()
    return events, finishes, done


class Load(unittest.TestCase):
    def test_200_streams_at_once(self):
        async def all_streams(server):
            return await asyncio.gather(*(stream(server, i) for i in range(CLIENTS)))
        with program.serving("--model", "builtin") as server:
            results = asyncio.run(all_streams(server))
            for events, finishes, done in results:
                self.assertGreater(events, 1)
                self.assertEqual((finishes, done), (1, 1))
            self.assertEqual(server.metric("hearth_requests_running"), 0)

    def test_clients_that_leave_free_their_work(self):
        async def half_leave(server):
            return await asyncio.gather(*(
                stream(server, i, leave_after=2 if i % 2 else None) for i in range(CLIENTS)))
        with program.serving("--model", "builtin") as server:
            results = asyncio.run(half_leave(server))
            for events, finishes, done in results[::2]:
                self.assertEqual((finishes, done), (1, 1))
            deadline = time.monotonic() + 5
            while server.metric("hearth_requests_running") and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(server.metric("hearth_requests_running"), 0)
            self.assertGreater(server.metric("hearth_requests_cancelled_total"), CLIENTS // 4)
            self.assertEqual(server.metric("hearth_kv_pages_used"), 0)

    def test_a_hostile_page_is_refused(self):
        chat = {"model": "builtin", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
        with program.serving("--model", "builtin") as server:
            own = f"http://127.0.0.1:{server.port}"
            rows = [
                ({"Origin": "https://evil.example"}, 403),
                ({"Origin": "null"}, 403),
                ({"Origin": "http://127.0.0.1.evil.example"}, 403),
                ({"Sec-Fetch-Site": "cross-site"}, 403),
                ({"Host": "evil.example"}, 403),
                ({"Origin": own}, 200),
                ({}, 200),
            ]
            for headers, expected in rows:
                with self.subTest(headers):
                    status, _, text = server.request("POST", "/v1/chat/completions", chat, headers)
                    self.assertEqual(status, expected, text)

    def test_no_open_address_without_keys(self):
        run = program.hearth("serve", "--host", "0.0.0.0", "--port", "0", check=False)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("key", run.stderr)


if __name__ == "__main__":
    program.main()
