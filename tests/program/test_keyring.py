"""A token in the desktop's keyring: a real one, on a message bus of its own."""
import pathlib
import shutil
import subprocess
import time
import unittest

import program
from world import MODEL, World

TOOLS = ("dbus-run-session", "dbus-send", "gnome-keyring-daemon", "secret-tool")

# Each step is a line of the script's output: the exit code and what the program said.
SCRIPT = """
gnome-keyring-daemon --unlock --components=secrets <<< password > /dev/null 2>&1
step() { said=$("$@" 2>&1); echo "$? $said" | tr '\\n' ' '; echo; }
printf in-the-keyring | timeout 20 secret-tool store --label=Hearth service hearth name hub || exit 77
export HEARTH_LIBRARY_TOKEN=keyring:absent
step "$HEARTH" pull hf:org/gated
export HEARTH_LIBRARY_TOKEN=keyring:hub
step "$HEARTH" pull hf:org/gated
dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets \\
  org.freedesktop.Secret.Service.Lock array:objpath:/org/freedesktop/secrets/collection/login > /dev/null
step "$HEARTH" pull hf:org/gated
"""


class Keyring(unittest.TestCase):
    def test_open_absent_and_locked(self):
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing:
            print(f"skipped: there is no {', '.join(missing)}", flush=True)
            self.skipTest("no keyring")
        with World() as world:
            world.hub.add("org/gated", {"m-Q4_0.gguf": MODEL}, gated="in-the-keyring")
            run_folder = pathlib.Path(world.home.name) / "run"
            run_folder.mkdir(mode=0o700)
            environment = {**world.environment, "XDG_RUNTIME_DIR": str(run_folder),
                           "HEARTH": program.BINARY}
            for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
                environment.pop(name, None)
            began = time.monotonic()
            run = subprocess.run(["dbus-run-session", "--", "bash", "-c", SCRIPT], env=environment,
                                 capture_output=True, text=True, timeout=120)
            self.assertLess(time.monotonic() - began, 60, "somebody was waited for")
            if run.returncode == 77:  # where a daemon may not lock memory, for one
                print(f"skipped: the keyring keeps nothing: {run.stderr}", flush=True)
                self.skipTest("no keyring that keeps anything")
            steps = run.stdout.splitlines()
            self.assertEqual(len(steps), 3, run.stdout + run.stderr)
            absent, opened, locked = steps
            self.assertIn("the keyring has no 'absent'", absent)
            self.assertTrue(opened.startswith("0 "), opened)
            self.assertFalse(locked.startswith("0 "), locked)
            self.assertIn("is locked", locked)
            self.assertIn("Bearer in-the-keyring", {r[1] for r in world.hub.requests})
            self.assertNotIn("in-the-keyring", run.stdout + run.stderr)

    def test_no_bus(self):
        if not shutil.which("secret-tool"):
            print("skipped: there is no secret-tool", flush=True)
            self.skipTest("no secret-tool")
        with World(DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent",
                   HEARTH_LIBRARY_TOKEN="keyring:hub") as world:
            run = world.run("pull", "hf:org/model")
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("the keyring cannot be reached", run.err)


if __name__ == "__main__":
    program.main()
