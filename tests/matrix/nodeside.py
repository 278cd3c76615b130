"""The Node SDKs: one process that takes a call on each line and answers with what was heard."""

import json
import subprocess

from callers.heard import KEY, failed
from story import question

CLIENTS = (
    "node-chat",
    "node-responses",
    "node-messages",
    "node-gemini",
    "ai-chat",
    "ai-responses",
    "ai-anthropic",
    "ai-google",
)
SCENARIOS = ("text", "tools")


class Callers:
    """The process; a context manager."""

    def __init__(self, url, folder):
        self.settings = {"url": url, "key": KEY}
        self.command = ["node", str(folder / "callers" / "main.mjs")]

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()

    def call(self, client, _kind, model, scenario, stream):
        """Makes one call."""
        asked = question(scenario)
        asked["turns"] = [{**one, "images": []} for one in asked["turns"]]
        line = {**self.settings, "client": client, "model": model, "stream": stream, "asked": asked}
        self.child.stdin.write(json.dumps(line) + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        return json.loads(answer) if answer else failed(EOFError("the Node process has ended"))
