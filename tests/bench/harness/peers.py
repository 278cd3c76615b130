"""Other proxies and gateways as targets. tests/bench/peers installs those that are no Debian package.

Each is told as little as it takes to pass calls on to the mock: none checks keys (but LiteLLM its master key), keeps
limits or writes a log.
"""
import os
import shutil

from . import build
from .bodies import PATH
from .procs import free_ports
from .weir import headers, render

HOME = f"{build.OUT}/peers"
TENSORZERO_MODEL = "tensorzero::model_name::mock-model"
LITELLM_KEY = "sk-bench-1234"
# Nothing is fetched and nothing told home while they are measured.
LITELLM_ENV = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True"}
TENSORZERO_ENV = {"TENSORZERO_DISABLE_PSEUDONYMOUS_USAGE_ANALYTICS": "1", "RUST_LOG": "warn"}


def there(*names):
    """The first of the files that exists; LookupError says how to get it."""
    for name in names:
        if name and os.path.exists(name):
            return name
    what = os.path.basename(names[-1])
    raise LookupError(f"{what} is not installed: " + (
        f"apt-get install {what}" if names[-1].startswith("/usr/sbin") else "tests/bench/peers installs it"))


def nginx(target, procs, at):
    binary = there(shutil.which("nginx"), "/usr/sbin/nginx")
    home = f"{build.RUN}/nginx"
    os.makedirs(home, exist_ok=True)
    second = f"server 127.0.0.1:{at.dead};" if at.world == "failover" else ""
    port = free_ports(1)[0]
    render("nginx.conf.in", f"{home}/nginx.conf", PORT=port, MOCK=at.mock, SECOND=second, RUN=home, WORKERS=at.workers)
    command = [binary, "-c", f"{home}/nginx.conf", "-p", home, "-e", f"{home}/error.log"]
    target.add(procs.start("nginx", command, port), port)


def haproxy(target, procs, at):
    binary = there(shutil.which("haproxy"), "/usr/sbin/haproxy")
    port = free_ports(1)[0]
    render("haproxy.cfg.in", f"{build.RUN}/haproxy.cfg", PORT=port, MOCK=at.mock, WORKERS=at.workers)
    target.add(procs.start("haproxy", [binary, "-db", "-f", f"{build.RUN}/haproxy.cfg"], port), port)


def envoy(target, procs, at):
    binary = there(f"{HOME}/envoy/envoy/_bin/envoy")
    port = free_ports(1)[0]
    config = f"{build.RUN}/envoy.yaml"
    render("envoy.yaml.in", config, PORT=port, MOCK=at.mock)
    command = [binary, "-c", config, "--concurrency", str(at.workers), "-l", "warn", "--disable-hot-restart"]
    target.add(procs.start("envoy", command, port), port)


def litellm(target, procs, at):
    binary = there(f"{HOME}/litellm/bin/litellm")
    port = free_ports(1)[0]
    config = f"{build.RUN}/litellm.yaml"
    render("litellm.yaml.in", config, MOCK=at.mock, KEY=LITELLM_KEY)
    command = [binary, "--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    target.add(procs.start("litellm", command, port, LITELLM_ENV, wait=180), port)
    target.headers, target.slow, target.skip = headers(LITELLM_KEY), 5, ("r500", "streams1000")


def portkey(target, procs, at):
    there(f"{HOME}/portkey/node_modules/@portkey-ai/gateway/build/start-server.js")
    port = free_ports(1)[0]
    command = [there(shutil.which("node"), "/usr/bin/node"), "-r", f"{build.HERE}/conf/loopback.cjs",
               "node_modules/@portkey-ai/gateway/build/start-server.js", "--headless", f"--port={port}"]
    pid = procs.start("portkey", command, port, {"NODE_ENV": "production"}, cwd=f"{HOME}/portkey")
    target.add(pid, port)
    target.headers = [*headers(), "x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{at.mock}/v1"]
    target.slow, target.skip = 2, ("streams1000",)


def tensorzero(target, procs, at):
    binary = there(f"{HOME}/tensorzero/bin/python")
    config = f"{build.RUN}/tensorzero.toml"
    render("tensorzero.toml.in", config, MOCK=at.mock)
    pid, port = procs.start_telling("tensorzero", [binary, f"{build.HERE}/conf/start_tensorzero.py", config],
                                    r"http://127\.0\.0\.1:(\d+)/", TENSORZERO_ENV)
    target.add(pid, port)
    target.path, target.model = "/openai" + PATH, TENSORZERO_MODEL


PEERS = {"nginx": nginx, "haproxy": haproxy, "envoy": envoy, "litellm": litellm, "portkey": portkey,
         "tensorzero": tensorzero}
