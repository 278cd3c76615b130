"""The SDKs, installed once under the build folder.

`requirements/*.txt` and `package-lock.json` pin every version; what is installed is remembered by a digest of those
files, so that a changed pin reinstalls and an unchanged one costs nothing.
"""
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent


def build_folder():
    """Where everything generated goes: `clients` under cargo's target folder."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve() / "clients"


def python(name, pins=None, folder=None):
    """The interpreter of a virtual environment with the pins of `requirements/NAME.txt`, or of another file; in another folder.

    Each file has one of its own: what goes well with the newest `openai` and what still asks for an older one are both in
    use out there.
    """
    folder = folder or build_folder()
    venv, pins = folder / f"venv-{name}", pins or HERE / "requirements" / f"{name}.txt"
    interpreter = venv / "bin" / "python"
    if fresh(venv, [pins]):
        return interpreter
    shutil.rmtree(venv, ignore_errors=True)
    if not (uv := shutil.which("uv")):
        run([sys.executable, "-m", "venv", folder / "uv"])
        uv = folder / "uv" / "bin" / "uv"
        run([uv.parent / "python", "-m", "pip", "install", "--quiet", "uv"])
    run([uv, "venv", "--quiet", "--python", sys.executable, venv])
    run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", interpreter, "-r", pins])
    stamp(venv, [pins])
    return interpreter


def node(here=HERE, folder=None, copy="suite"):
    """A folder with `node_modules` and a copy of the Node suite (modules are looked up from the file's place)."""
    folder, pins = (folder or build_folder()) / "node", [here / name for name in ("package.json", "package-lock.json", ".npmrc")]
    if not fresh(folder, pins):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for pin in pins:
            shutil.copy(pin, folder)
        run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder)
        stamp(folder, pins)
    shutil.rmtree(folder / copy, ignore_errors=True)
    shutil.copytree(here / "node", folder / copy)
    return folder


def fresh(folder, pins):
    """Was `folder` installed from exactly these pins?"""
    mark = folder / ".installed"
    return mark.is_file() and mark.read_text() == digest(pins)


def stamp(folder, pins):
    """Remembers what `folder` was installed from; only after everything succeeded."""
    (folder / ".installed").write_text(digest(pins))


def digest(pins):
    """One digest over the contents of the pin files."""
    return hashlib.sha256(b"\0".join(pin.read_bytes() for pin in pins)).hexdigest()


def run(command, cwd=None):
    """Runs an installer; its own words on failure."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
