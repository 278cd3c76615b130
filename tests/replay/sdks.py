"""The official SDKs that judge answers, installed once beside those of `tests/clients`."""
import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "clients"))
from rig import toolchain  # noqa: E402

PINS = Path(__file__).with_name("requirements.txt")


def interpreter():
    """A Python that has them."""
    venv = toolchain.build_folder() / "venv-replay"
    python = venv / "bin" / "python"
    if not toolchain.fresh(venv, [PINS]):
        shutil.rmtree(venv, ignore_errors=True)
        toolchain.run([uv(), "venv", "--quiet", "--python", sys.executable, venv])
        toolchain.run([uv(), "pip", "install", "--quiet", "--python", python, "-r", PINS])
        toolchain.stamp(venv, [PINS])
    return python


def uv():
    """The installer; plain pip takes minutes to find versions that go together."""
    if found := shutil.which("uv"):
        return Path(found)
    own = toolchain.build_folder() / "uv" / "bin" / "uv"
    if not own.is_file():
        toolchain.run([sys.executable, "-m", "venv", own.parent.parent])
        toolchain.run([own.parent / "python", "-m", "pip", "install", "--quiet", "uv"])
    return own
