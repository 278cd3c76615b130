"""What one run of the suites needs: a strict provider, the scripted provider, the gateway, and Redis if asked for."""
import sys
from contextlib import ExitStack

from . import gateway_config
from .processes import Process, accepts, free_port, says_200
from .toolchain import HERE

VARIANTS = ("embedded", "redis")


class Stack:
    """A context manager: everything is up inside, and ended after."""

    def __init__(self, variant, weir, folder):
        self.variant, self.weir, self.folder = variant, weir, folder
        self.processes = {}
        self.ending = ExitStack()

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            redis_port = self.start_redis() if self.variant == "redis" else None
            self.strict_port = self.start_strict()
            self.scripted_port = self.start_scripted()
            self.listen = self.start_gateway(redis_port)
        except BaseException:
            self.ending.close()
            raise
        return self

    def __exit__(self, *_):
        self.ending.close()

    def settings(self):
        """What the suites must know, for both languages the same."""
        return {
            "variant": self.variant,
            "gateway": f"http://127.0.0.1:{self.listen}",
            "strict": f"http://127.0.0.1:{self.strict_port}",
            "scripted": f"http://127.0.0.1:{self.scripted_port}",
            "keys": gateway_config.keys(),
        }

    def dead(self):
        """The processes that ended though nobody ended them."""
        return [process for process in self.processes.values() if not process.alive()]

    def start_redis(self):
        """An empty Redis that writes nothing to disk."""
        port = free_port()
        options = ["--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", self.folder]
        self.start("redis", ["redis-server", *options]).wait_until(lambda: accepts(port))
        return port

    def start_strict(self):
        """The strict provider; its limits lie far above what the suites send."""
        port = free_port()
        command = [self.weir, "provider", "--listen", f"127.0.0.1:{port}"]
        for key in gateway_config.STRICT_KEYS:
            command += ["--key", f"{key}:rpm=100000,tpm=100000000"]
        command += ["--output", "20..60", "--pace", "10ms", "--latency", "5ms"]
        self.start("strict", command).wait_until(lambda: accepts(port))
        return port

    def start_scripted(self):
        """The scripted provider."""
        port = free_port()
        command = [sys.executable, "-m", "rig.scripted", port]
        self.start("scripted", command, cwd=HERE).wait_until(lambda: accepts(port))
        return port

    def start_gateway(self, redis_port):
        """One replica."""
        listen, admin = free_port(), free_port()
        config = self.folder / "weir.toml"
        config.write_text(gateway_config.text(listen, admin, self.strict_port, self.scripted_port, redis_port))
        ready = f"http://127.0.0.1:{listen}/readyz"
        self.start("gateway", [self.weir, "serve", "--config", config]).wait_until(lambda: says_200(ready))
        return listen

    def start(self, name, command, cwd=None):
        """Starts a process that this stack ends."""
        process = Process(name, command, self.folder / f"{name}.log", cwd)
        self.processes[name] = process
        self.ending.callback(process.end)
        return process
