"""Running servers for the tests: the program with its built-in models, and one whose model says what
a script says, for calls of tools."""
import json
import os
import re
import subprocess
import tempfile

CALL = '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>'
SCRIPT = [
    {"if": ["<tool_response>\nsunny"], "say": "It is sunny."},
    {"if": ["<tool_response>\n42"], "say": "It is 42."},
    {"if": ["calc__add"], "say": CALL % ("calc__add", '{"a": 40}')},
    {"if": ["<tools>"], "say": "Let me look.\n" + CALL % ("weather", '{"city": "Paris"}')},
    {"say": "Hello."},
]
# A server of the Model Context Protocol with one tool.
ADDER = r"""while read -r line; do
  id=${line#*'"id":'}; id=${id%%[!0-9]*}
  case $line in
    *'"initialize"'*) r='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}';;
    *'"tools/list"'*) r='{"tools":[{"name":"add","description":"Adds."}]}';;
    *'"tools/call"'*) r='{"content":[{"type":"text","text":"42"}]}';;
    *) continue;;
  esac
  echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$r}"
done"""


SPEECH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../golden/speech")


class Server:
    def __init__(self, command):
        self.home = tempfile.TemporaryDirectory(prefix="hearth-python-")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "XDG_"))}
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                      env={**kept, "HOME": self.home.name})
        found = None
        while not found:
            line = self.child.stdout.readline()
            if not line:
                raise RuntimeError(f"{command[0]} ended")
            found = re.search(r"https?://\S+", line)
        self.url = found.group(0)

    def stop(self):
        self.child.terminate()
        self.child.wait()
        self.child.stdout.close()
        self.home.cleanup()


_servers = {}


def builtin():
    if "builtin" not in _servers:
        _servers["builtin"] = Server([os.environ["HEARTH_BINARY"], "serve", "--port", "0",
                                      "--model", "builtin", "--model", "builtin-embed",
                                      "--model", os.path.join(SPEECH, "tiny")])
    return _servers["builtin"].url


def scripted():
    if "scripted" not in _servers:
        folder = tempfile.mkdtemp(prefix="hearth-python-")
        script, tools = os.path.join(folder, "script.json"), os.path.join(folder, "mcp.json")
        with open(script, "w") as file:
            json.dump(SCRIPT, file)
        adder = os.path.join(folder, "adder.sh")
        with open(adder, "w") as file:
            file.write(ADDER)
        with open(tools, "w") as file:
            json.dump({"mcpServers": {"calc": {"command": "sh", "args": [adder],
                                               "serve": "asked", "alwaysAllow": ["add"]}}}, file)
        os.chmod(tools, 0o600)
        _servers["scripted"] = Server([os.environ["HEARTH_SCRIPTED"], script, "0", tools])
    return _servers["scripted"].url


def stop_all():
    while _servers:
        _servers.popitem()[1].stop()
