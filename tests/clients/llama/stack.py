"""What the suite of a real inference server needs: llama.cpp twice, one to generate and one to embed, and a gateway."""
import subprocess

from rig.processes import Failed, free_port, says_200
from rig.stack import Processes
from rig.toolchain import HERE

CONFIG = """
version = 1
[server]
listen = "127.0.0.1:{listen}"
admin_listen = "127.0.0.1:{admin}"
[defaults]
timeouts = {{ connect = "2s", first_token = "60s", idle = "60s", total = "5m" }}
[[accounts]]
name = "chat"
provider = "openai-compatible"
base_url = "http://127.0.0.1:{chat}/v1"
[[accounts]]
name = "embed"
provider = "openai-compatible"
base_url = "http://127.0.0.1:{embed}/v1"
[[deployments]]
name = "llama-chat"
account = "chat"
model = "random"
[[deployments]]
name = "llama-embed"
account = "embed"
model = "random"
[[models]]
name = "llama"
deployments = ["llama-chat"]
[[models]]
name = "llama-embed"
deployments = ["llama-embed"]
"""


class LlamaStack(Processes):
    """Everything is up inside, and ended after."""

    def __init__(self, weir, interpreter, folder):
        super().__init__(folder)
        self.weir, self.interpreter = weir, interpreter

    def start_all(self):
        """The model is written anew each time: that takes less than a second."""
        model = self.folder / "random.gguf"
        written = subprocess.run(
            [self.interpreter, HERE / "llama" / "model.py", model], text=True, capture_output=True, check=False
        )
        if written.returncode != 0:
            raise Failed(f"no model was written:\n{written.stderr}")
        self.chat = self.start_llama("llama-chat", model)
        self.embed = self.start_llama("llama-embed", model, "embedding")
        ports = {"chat": self.chat, "embed": self.embed}
        self.gateway = self.serve("gateway", self.weir, lambda listen, admin: CONFIG.format(listen=listen, admin=admin, **ports))

    def settings(self):
        """What the suite must know."""
        return {
            "gateway": self.gateway,
            "llama": f"http://127.0.0.1:{self.chat}",
            "embed": f"http://127.0.0.1:{self.embed}",
            "keys": {"main": "no-tenants-no-keys"},
            "log": str(self.processes["gateway"].log),
        }

    def start_llama(self, name, model, *more):
        """One server; it is ready when its model is loaded."""
        port = free_port()
        command = [self.interpreter, HERE / "llama" / "server.py", model, port, *more]
        self.start(name, command).wait_until(lambda: says_200(f"http://127.0.0.1:{port}/health"))
        return port
