#!/usr/bin/env python3
"""What idle streams cost the server, and how tokens per second grow with clients.

usage: streams.py [BINARY]
"""
import asyncio
import json
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/program"))
import program  # noqa: E402


def resident_kilobytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return (int(re.search(r"VmRSS:\s+(\d+)", status).group(1)),
            int(re.search(r"Threads:\s+(\d+)", status).group(1)))


async def idle_connections(server, count):
    """Keeps `count` connections open, each with a request that has been answered."""
    writers = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(f"GET /health HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n\r\n".encode())
        await reader.readuntil(b"}")
        writers.append(writer)
    cost = resident_kilobytes(server.process.pid)
    for writer in writers:
        writer.close()
    return cost


async def one_client(server, index, tokens):
    body = json.dumps({"model": "builtin", "stream": True, "max_tokens": tokens, "seed": index,
                       "ignore_eos": True, "temperature": 1,
                       "messages": [{"role": "user", "content": f"Question {index}"}]}).encode()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write((f"POST /v1/chat/completions HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
    while (line := await reader.readline()) and line.strip() != b"data: [DONE]":
        pass
    writer.close()


async def all_clients(server, count, tokens):
    await asyncio.gather(*(one_client(server, i, tokens) for i in range(count)))


def main():
    if len(sys.argv) > 1:
        program.BINARY = sys.argv[1]
    with program.serving("--model", "builtin") as server:
        before, threads = resident_kilobytes(server.process.pid)
        count = 900
        after, threads_with = asyncio.run(idle_connections(server, count))
        print(f"idle connection: {(after - before) / count:.1f} KB each of {count}, "
              f"threads {threads} -> {threads_with}")
        for clients in (1, 4, 16, 64, 200):
            start = time.perf_counter()
            asyncio.run(all_clients(server, clients, 64))
            rate = clients * 64 / (time.perf_counter() - start)
            print(f"{clients:4} clients: {rate:8.0f} tokens/s in all")


if __name__ == "__main__":
    main()
