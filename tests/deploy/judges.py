"""The tools that judge, installed once under the build folder, and the files that they are given."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rig import toolchain

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
DEPLOY = REPOSITORY / "deploy"
SHELL = re.compile(rb"^#!.*\b(ba|da)?sh\b")
READ = "import json, sys, ruamel.yaml as y; print(json.dumps(y.YAML(typ='safe').load(open(sys.argv[1]))))"


class Judges:
    """The programs, by their paths."""

    def __init__(self):
        target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()
        self.folder = target / "deploy"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.python = toolchain.python("deploy", pins=HERE / "requirements.txt", folder=self.folder)
        self.hadolint, self.shellcheck, self.schema = (self.python.parent / name for name in ("hadolint", "shellcheck", "check-jsonschema"))
        self.haproxy, self.redis, self.redis_cli = (server(name) for name in ("haproxy", "redis-server", "redis-cli"))
        self.promtool = promtool()
        weir = Path(os.environ.get("WEIR_BIN") or target / "release" / "weir").resolve()
        self.weir = weir if weir.is_file() else None

    def yaml(self, path):
        """What a file of YAML holds."""
        said = subprocess.run([self.python, "-c", READ, path], capture_output=True, text=True, check=False)
        if said.returncode != 0:
            sys.exit(f"{path}: {said.stderr}")
        return json.loads(said.stdout)


def run(*command, **more):
    """Runs one; what it says if it is not content, or None."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60, **more)
    return None if done.returncode == 0 else f"{Path(command[0]).name}: {done.stdout}{done.stderr}".strip()


def server(name):
    """A server that is installed; it may stand where only administrators look."""
    path = os.environ.get("PATH", "") + os.pathsep + os.pathsep.join(("/usr/local/sbin", "/usr/sbin"))
    return shutil.which(name, path=path) or sys.exit(f"{name} is missing; install its package")


def promtool():
    """As the tests of the rules have it."""
    sys.path.insert(0, str(HERE.parent / "prometheus"))
    import tools

    return tools.program("promtool", tools.folder())


def scripts(judges):
    """Every shell script of the repository. (Seen to fail by an unquoted variable.)"""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, check=True
    )
    paths = [REPOSITORY / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    found = [path for path in paths if path.is_file() and is_shell(path)]
    if REPOSITORY / "tests" / "run" not in found:
        yield "shellcheck: the scripts of this repository are not where they were"
    if said := run(judges.shellcheck, *found):
        yield said


def is_shell(path):
    """Does its first line say so?"""
    with open(path, "rb") as file:
        return SHELL.match(file.readline(80)) is not None
