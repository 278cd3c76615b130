"""What one run of the suites needs: a strict provider, the scripted provider, aimock, the gateway, one that cannot reach
its state, and Redis if asked for."""
import sys
from contextlib import ExitStack, contextmanager

from . import gateway_config
from .processes import Process, accepts, free_port, says_200
from .toolchain import HERE

VARIANTS = ("embedded", "redis")


class Processes:
    """A context manager: everything is up inside, and ended after."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}
        self.ending = ExitStack()

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.start_all()
        except BaseException:
            self.ending.close()
            raise
        return self

    def __exit__(self, *_):
        self.ending.close()

    def start_all(self):
        """Starts them, in an order in which each finds what it needs; among them `gateway`, whose address is kept so."""
        raise NotImplementedError

    def settings(self):
        """What the suites must know."""
        raise NotImplementedError

    def dead(self):
        """The processes that ended though nobody ended them."""
        return [process for process in self.processes.values() if not process.alive()]

    def start(self, name, command, cwd=None):
        """Starts a process that this stack ends."""
        process = Process(name, command, self.folder / f"{name}.log", cwd)
        self.processes[name] = process
        self.ending.callback(process.end)
        return process

    def serve(self, name, weir, text):
        """Starts a replica; `text(listen, admin)` is its configuration. Gives the address that it listens on."""
        listen, admin = free_port(), free_port()
        config = self.folder / f"{name}.toml"
        config.write_text(text(listen, admin))
        ready = f"http://127.0.0.1:{listen}/readyz"
        self.start(name, [weir, "serve", "--config", config]).wait_until(lambda: says_200(ready))
        return f"http://127.0.0.1:{listen}"

    @contextmanager
    def faulty(self, fault):
        """The settings with a proxy before the gateway that does one thing wrong."""
        port = free_port()
        command = [sys.executable, "-m", "rig.faults", port, self.gateway.rpartition(":")[2], fault]
        proxy = Process(f"fault-{fault}", command, self.folder / f"fault-{fault}.log", HERE)
        try:
            proxy.wait_until(lambda: accepts(port))
            yield {**self.settings(), "gateway": f"http://127.0.0.1:{port}"}
        finally:
            proxy.end()


class Stack(Processes):
    """What the SDKs' suites need."""

    def __init__(self, variant, weir, node, folder):
        super().__init__(folder)
        self.variant, self.weir, self.node = variant, weir, node

    def start_all(self):
        """Providers first."""
        redis_port = self.start_redis() if self.variant == "redis" else None
        self.ports = {
            "strict": self.start_strict(),
            "scripted": self.start_scripted(),
            "aimock": self.start_aimock(),
        }
        self.gateway = self.start_gateway("gateway", redis_port)
        # without Redis a second replica would share nothing: then it is the first one
        self.beside = self.start_gateway("gateway-beside", redis_port) if redis_port else self.gateway
        self.away = self.start_gateway("gateway-away", free_port())  # nobody listens there

    def settings(self):
        """What the suites must know, for both languages the same."""
        return {
            "variant": self.variant,
            "gateway": self.gateway,
            "beside": self.beside,
            "away": self.away,
            **{name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()},
            "keys": gateway_config.keys(),
            "log": str(self.processes["gateway"].log),
        }

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

    def start_aimock(self):
        """aimock: it answers what `aimock.json` has for a model and a text, and 503 to everything else."""
        port = free_port()
        fixtures = HERE / "aimock.json"
        command = ["node", self.node / "node_modules/@copilotkit/aimock/dist/cli.js", "-p", port, "-f", fixtures]
        command += ["--strict", "--validate-on-load", "--log-level", "warn"]
        command += ["--chunk-size", "5", "--latency", "2", "--journal-max", "0"]
        self.start("aimock", command).wait_until(lambda: accepts(port))
        return port

    def start_gateway(self, name, redis_port):
        """One replica."""
        return self.serve(
            name, self.weir, lambda listen, admin: gateway_config.text(listen, admin, self.ports, redis_port)
        )
