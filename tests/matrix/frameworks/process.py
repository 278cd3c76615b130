"""The frameworks: one process with pins of its own, which takes a call on each line and answers with what was heard."""

import json
import subprocess
from pathlib import Path

import toolchain
from callers.heard import KEY

HERE = Path(__file__).resolve().parent


class Callers:
    """The process; a context manager. `key` is the provider's when there is no gateway."""

    def __init__(self, url, key=KEY):
        self.settings = {"url": url, "key": key}
        interpreter = toolchain.python("frameworks", HERE / "requirements.txt")
        self.command = [str(interpreter), str(HERE / "callers" / "main.py")]

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()

    def call(self, client, model, scenario, stream):
        """Makes one call."""
        line = {**self.settings, "client": client, "model": model, "scenario": scenario, "stream": stream}
        self.child.stdin.write(json.dumps(line) + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        if not answer:
            raise EOFError("the frameworks' process has ended")
        return json.loads(answer)
