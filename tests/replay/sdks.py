"""The official SDKs that judge answers, installed once beside those of `tests/clients`."""
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "clients"))
from rig import toolchain  # noqa: E402

# Settings of the SDKs that would change what they send.
FOREIGN = ("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_")
PINS = Path(__file__).with_name("requirements.txt")


def interpreter():
    """A Python that has them."""
    return toolchain.python("replay", PINS)


def environment():
    """Ours, without what would lead the SDKs elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
