"""What RUNBOOK.md and UPGRADE.md say for Compose is done in Redis' container: here by a Redis that is started as that one is."""

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from rig.processes import Failed, Process, accepts, free_port
from judges import DEPLOY, run
from served import started

BLOCK = re.compile(r"^```text\n(.*?)^```$", re.M | re.S)
# In place of Docker: what is asked to be executed in the container is executed here.
DOCKER = 'docker() { while [ "$1" != redis ]; do shift; done; shift; "$@"; }\n'


def faults(judges):
    """Yields what is wrong. (Seen to fail by `redis-cli ACL LOAD` alone, by a `start` that knows no `users`, and without a password.)"""
    with tempfile.TemporaryDirectory(prefix="weir-inside-") as name:
        container = Container(judges, Path(name))
        try:
            container.begin()
            yield from container.operated()
            yield from container.upgraded()
            yield from container.refused()
        except Failed as failed:
            yield str(failed)
        finally:
            container.end()


def block(name, what):
    """The block of a document that has it."""
    return next((text for text in BLOCK.findall((DEPLOY / name).read_text()) if what in text), "")


class Container:
    """Redis, with the users of a version that had no INFO."""

    def __init__(self, judges, folder):
        self.judges, self.folder, self.port, self.process = judges, folder, free_port(), None
        self.secrets, self.users, self.data = (folder / name for name in ("secrets", "users.acl", "redis"))

    def begin(self):
        """And what a shell in it finds."""
        run(DEPLOY / "make-secrets", self.secrets)
        self.replace(lambda text: text.replace(" +info", ""))
        for place in (self.data, self.folder / "bin"):
            place.mkdir()
        client = self.folder / "bin" / "redis-cli"
        client.write_text(f'#!/bin/sh\nexec {shlex.quote(str(self.judges.redis_cli))} -p {self.port} "$@"\n')
        client.chmod(0o755)
        command = started(self.judges, self.secrets, self.data, self.port, self.users)
        self.process = Process("redis", command, self.folder / "redis.log")
        self.process.wait_until(lambda: accepts(self.port))

    def end(self):
        """Redis, if it runs."""
        if self.process:
            self.process.end()

    def replace(self, change):
        """Another file of users takes the place of the one that is there, as editors and git do it."""
        new = self.folder / "users.acl.new"
        new.write_text(change((DEPLOY / "redis" / "users.acl").read_text()))
        new.replace(self.users)

    def say(self, script):
        """What a document's commands print, and their exit code."""
        for there, here in (("/run/secrets", self.secrets), ("/etc/redis/start", DEPLOY / "redis" / "start")):
            script = script.replace(there, str(here))
        environment = {
            **os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ.get('PATH', '')}",
            "REDIS_SECRETS": self.secrets, "REDIS_USERS": self.users, "REDIS_RUN": self.data,
        }
        done = subprocess.run(["bash", "-c", DOCKER + script], env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout + done.stderr, done.returncode

    def operator(self, words):
        """What the runbook's own `redis` says."""
        function = re.search(r"^redis\(\) \{.*\}$", block("RUNBOOK.md", "REPLICAS="), re.M)
        return self.say(f"{function[0] if function else 'false'}\nredis {words}")[0]

    def operated(self):
        """RUNBOOK.md: an operator may ask everything, and words arrive as they are."""
        if (said := self.operator("ping")).strip() != "PONG":
            yield f"RUNBOOK.md: redis ping says {said}"
        if "used_memory" not in (said := self.operator("info memory")):
            yield f"RUNBOOK.md: redis info says {said}"
        if (said := self.operator("echo '{weir}:keys of $all'")).strip() != "{weir}:keys of $all":
            yield f"RUNBOOK.md: redis echo says {said}"

    def upgraded(self):
        """UPGRADE.md: the new file holds, in the Redis that runs."""
        if "+info" in self.operator("acl getuser weir"):
            yield "the old users have INFO already"
        self.replace(lambda text: text)
        said, code = self.say(block("UPGRADE.md", "ACL LOAD"))
        if code or said.strip() != "OK" or "+info" not in self.operator("acl getuser weir"):
            yield f"UPGRADE.md: after its commands weir has no INFO; they said {said!r} and ended with {code}"

    def refused(self):
        """A file without the user changes nothing, and is told of."""
        before = self.operator("acl getuser weir")
        self.replace(lambda text: text.replace("user weir", "user somebody"))
        said, code = self.say(block("UPGRADE.md", "ACL LOAD"))
        if code == 0 or "no user weir" not in said or self.operator("acl getuser weir") != before:
            yield f"UPGRADE.md: with a wrong file it ends with {code} and says {said!r}"
