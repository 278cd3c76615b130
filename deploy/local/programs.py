"""Where the programs of the topology are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent
REPOSITORY = DEPLOY.parent
TESTS = REPOSITORY / "tests"


def target():
    """Cargo's target folder."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()


def find():
    """The path of each, by its name; says what is missing and ends otherwise."""
    return {
        "weir": weir(),
        "redis-server": installed("redis-server"),
        "haproxy": installed("haproxy"),
        "prometheus": os.environ.get("WEIR_PROMETHEUS") or prometheus(),
        "rotel": os.environ.get("WEIR_ROTEL") or rotel(),
    }


def weir():
    """The gateway."""
    binary = Path(os.environ.get("WEIR_BIN") or target() / "release" / "weir").resolve()
    if not binary.is_file():
        sys.exit(f"no gateway at {binary}: build it (cargo build --release) or set WEIR_BIN")
    return str(binary)


def installed(name):
    """A program of a Debian package of its name; servers may stand where only administrators look."""
    path = os.environ.get("PATH", "") + os.pathsep + os.pathsep.join(("/usr/local/sbin", "/usr/sbin"))
    if found := shutil.which(name, path=path):
        return found
    return sys.exit(f"{name} is missing; install the package {name}")


def prometheus():
    """One that is installed, or as the tests of the rules get it."""
    sys.path[:0] = [str(TESTS / "prometheus"), str(TESTS / "clients")]
    import tools

    return tools.program("prometheus", tools.folder())


def rotel():
    """A collector in one executable, as the tests of what is told get it."""
    done = subprocess.run([TESTS / "collector" / "install"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit("no collector: set WEIR_ROTEL")
    return done.stdout.strip()
