"""What the whole-program tests share: the binary, the data folder, a running server.

The environment names them: HEARTH_BINARY (default build/release/hearth), HEARTH_DATA (default
../shared/data).  Only the Python standard library is used.
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("HEARTH_BINARY", str(ROOT / "build/release/hearth"))
DATA = pathlib.Path(os.environ.get("HEARTH_DATA", ROOT.parent / "shared/data"))


def needs_data(*parts):
    """Skips a test where the public data is absent; returns the path."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        raise unittest.SkipTest(f"{path} is absent")
    return str(path)


def clean_environment():
    """No settings of the person who runs the tests: a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}
    kept["HOME"] = _home.name
    return kept


_home = tempfile.TemporaryDirectory()


def hearth(*arguments, text="", check=True, timeout=120):
    """Runs the program and returns the finished process (stdout and stderr as text)."""
    run = subprocess.run([BINARY, *arguments], input=text, capture_output=True, text=True,
                         timeout=timeout, env=clean_environment())
    if check and run.returncode != 0:
        raise AssertionError(f"hearth {' '.join(arguments)} ended with {run.returncode}: {run.stderr}")
    return run


def kernel_tables():
    """The kernel tables that run on this machine."""
    doctor = json.loads(hearth("doctor", "--json").stdout)
    return [table["name"] for table in doctor["kernels"] if table["runs_here"]]


class Server:
    """A running `hearth serve`."""

    def __init__(self, process, host, port):
        self.process, self.host, self.port = process, host, port
        self.url = f"http://{host}:{port}"

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        sent = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, path, data, {**sent, **(headers or {})})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, response.headers, text

    def json(self, method, path, body=None, headers=None):
        status, _, text = self.request(method, path, body, headers)
        if status != 200:
            raise AssertionError(f"{method} {path}: {status} {text}")
        return json.loads(text)

    def metric(self, name):
        """The value of a gauge or counter, summed over its labels."""
        _, _, text = self.request("GET", "/metrics")
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.M)
        if not values:
            raise AssertionError(f"no metric {name} in:\n{text}")
        return sum(map(float, values))


@contextlib.contextmanager
def serving(*arguments, env=None):
    """`hearth serve --port 0 ...` until the block ends; then SIGTERM must end it cleanly."""
    process = subprocess.Popen([BINARY, "serve", "--port", "0", *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=env or clean_environment())
    try:
        line = process.stdout.readline()
        found = re.search(r"https?://([\d.]+|\[[0-9a-f:]+\]):(\d+)", line)
        if not found:
            process.kill()
            raise AssertionError(f"serve said '{line}' and {process.stderr.read()}")
        yield Server(process, found.group(1).strip("[]"), int(found.group(2)))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            out, errors = process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    if process.returncode != 0:
        raise AssertionError(f"serve ended with {process.returncode}: {errors}")


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
