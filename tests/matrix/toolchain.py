"""The SDKs, installed once under the build folder by the pins beside this file, as `tests/clients` does it."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from rig import toolchain as clients  # noqa: E402
from rig.processes import Process, free_port, says_200  # noqa: E402, F401

REPOSITORY = HERE.parent.parent


def build_folder():
    """Where everything generated goes: `matrix` under cargo's target folder."""
    return clients.build_folder().parent / "matrix"


def python(name="sdks", pins=HERE / "requirements.txt"):
    """The interpreter of a virtual environment with these pins."""
    return clients.python(name, pins, build_folder())


def node():
    """A folder with `node_modules` and a copy of the Node callers (modules are looked up from the file's place)."""
    return clients.node(HERE, build_folder(), "callers")
