"""A hub and a home of its own, for tests that download."""
import contextlib
import hashlib
import pathlib
import subprocess
import tempfile
import time

import program
from fake_hub import Hub

MODEL = (program.ROOT / "src/library/builtin/chat.gguf").read_bytes()
SHA = hashlib.sha256(MODEL).hexdigest()


def eventually(test, condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    test.fail("did not happen in time")


@contextlib.contextmanager
def running(world, *arguments):
    """A server in this world."""
    with program.serving(*arguments, env=world.environment) as server:
        yield server


class World:
    """A hub and a home of its own."""

    def __init__(self, **environment):
        self.hub = Hub()
        self.hub.add("org/model", {"model-Q8_0.gguf": MODEL, "README.md": b"# A model\n"})
        self.home = tempfile.TemporaryDirectory()
        self.environment = {**program.clean_environment(), "HOME": self.home.name,
                            "HF_ENDPOINT": self.hub.url,
                            "HEARTH_LIBRARY_OLLAMA": self.hub.url, **environment}
        for name in ("http_proxy", "https_proxy", "all_proxy", "HF_TOKEN", "HF_HOME"):
            self.environment.pop(name, None)
        self.environment.update(environment)
        self.store = pathlib.Path(self.home.name) / ".local/share/hearth/models"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hub.close()
        self.home.cleanup()

    def start(self, *arguments):
        return subprocess.Popen([program.BINARY, *arguments], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.environment)

    def run(self, *arguments):
        process = self.start(*arguments)
        process.out, process.err = process.communicate(timeout=60)
        return process

    def fault(self, *faults, sha=SHA):
        self.hub.faults[sha].extend(faults)

    def files(self):
        return sorted(str(p.relative_to(self.store)) for p in self.store.rglob("*") if p.is_file())
