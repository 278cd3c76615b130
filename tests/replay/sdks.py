"""The official SDKs that judge answers, installed once beside those of `tests/clients`."""
import os
import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "clients"))
from rig import toolchain  # noqa: E402

# Settings of the SDKs that would change what they send.
FOREIGN = ("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_")
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


def environment():
    """Ours, without what would lead the SDKs elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
