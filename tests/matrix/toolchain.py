"""The SDKs, installed once under the build folder by the pins beside this file, as `tests/clients` does it."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from rig.processes import Process, free_port, says_200  # noqa: E402, F401
from rig.toolchain import build_folder as clients_folder  # noqa: E402
from rig.toolchain import fresh, run, stamp  # noqa: E402

REPOSITORY = HERE.parent.parent


def build_folder():
    """Where everything generated goes: `matrix` under cargo's target folder."""
    return clients_folder().parent / "matrix"


def python():
    """The interpreter of a virtual environment with the pins of `requirements.txt`."""
    venv, pins = build_folder() / "venv", HERE / "requirements.txt"
    interpreter = venv / "bin" / "python"
    if fresh(venv, [pins]):
        return interpreter
    shutil.rmtree(venv, ignore_errors=True)
    if not (uv := shutil.which("uv")):
        run([sys.executable, "-m", "venv", build_folder() / "uv"])
        uv = build_folder() / "uv" / "bin" / "uv"
        run([uv.parent / "python", "-m", "pip", "install", "--quiet", "uv"])
    run([uv, "venv", "--quiet", "--python", sys.executable, venv])
    run([uv, "pip", "install", "--quiet", "--python", interpreter, "-r", pins])
    stamp(venv, [pins])
    return interpreter


def node():
    """A folder with `node_modules` and a copy of the Node callers (modules are looked up from the file's place)."""
    folder, pins = build_folder() / "node", [HERE / name for name in ("package.json", "package-lock.json", ".npmrc")]
    if not fresh(folder, pins):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for pin in pins:
            shutil.copy(pin, folder)
        run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder)
        stamp(folder, pins)
    shutil.rmtree(folder / "callers", ignore_errors=True)
    shutil.copytree(HERE / "node", folder / "callers")
    return folder
