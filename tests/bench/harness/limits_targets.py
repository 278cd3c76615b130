"""Gateways that are to keep limits: Weir with any number of replicas, LiteLLM with two, each with one Redis.

A pool is a key of the provider with a limit, and a model of the gateway that leads there and nowhere else. Nothing
waits and nobody tries again: what does not fit is refused at once, by whoever knows first.

LiteLLM is given, one after the other, each means that its version enforces limits by:

  litellm-2            rpm or tpm of a deployment with `enforce_model_rate_limits`: calls are counted in Redis before they
                       are sent, tokens are looked at before and counted after; in clock minutes
  litellm-2-reserving  itpm and otpm of a deployment instead of tpm, which are reserved before and corrected after; the
                       limit is split as the load's own calls are, input to largest output
  litellm-2-keys       rpm_limit or tpm_limit of a key, one for each pool, which a script in Redis reserves; in minutes that
                       begin with the first call

Usage-based routing chooses among deployments, of which there is one for each model here, so it is not used.
"""
import json
import shutil

from . import build, weir
from .bodies import KEY
from .peers import HOME, LITELLM_ENV, LITELLM_KEY, there
from .procs import free_ports
from .worlds import digest

MAX_TOKENS = 64
LITELLM_REPLICAS = 2


VARIANTS = ("litellm-2", "litellm-2-reserving", "litellm-2-keys")


def start(procs, name, binary, redis, provider, case):
    """Starts a gateway; [(pid, port)]."""
    if name.startswith("weir-"):
        return weir.start(procs, name, binary, redis, weir_world(provider, case), label="limits-")
    if name in VARIANTS:
        return start_litellm(procs, name, redis, provider, case)
    raise SystemExit(f"unknown target {name}")


def key(name, pool):
    """What clients of a pool send."""
    if name.startswith("weir-"):
        return KEY
    return f"sk-{pool}-client" if name.endswith("-keys") else LITELLM_KEY


def weir_world(provider, case):
    text = ""
    for pool in case.pools:
        text += (f'[[accounts]]\nname = "{pool}"\nprovider = "openai-compatible"\napi_key = "{case.key(pool)}"\n'
                 f'base_url = "http://127.0.0.1:{provider}/v1"\n\n'
                 f'[[deployments]]\nname = "{pool}"\naccount = "{pool}"\nmodel = "up-{pool}"\n'
                 f'max_output = {MAX_TOKENS}\nlimits = {{ {case.unit} = {case.limit} }}\n\n'
                 f'[[models]]\nname = "{pool}"\ndeployments = ["{pool}"]\nqueue = {{ max = 0 }}\n\n')
    return text + f'[[tenants]]\nname = "bench"\nkeys = ["sha256:{digest(KEY)}"]\n'


def start_litellm(procs, name, redis, provider, case):
    binary = there(f"{HOME}/litellm/bin/litellm")
    config, keys = f"{build.RUN}/limits-{name}.yaml", f"{build.RUN}/limits-{name}-keys.json"
    shutil.copy2(f"{build.HERE}/conf/litellm_keys.py", build.RUN)  # it looks beside its configuration
    with open(config, "w") as f:  # JSON is YAML
        json.dump(litellm_config(name, redis, provider, case), f)
    with open(keys, "w") as f:
        json.dump({key(name, pool): {f"{case.unit}_limit": case.limit} for pool in case.pools}, f)
    started = []
    for at, port in enumerate(free_ports(LITELLM_REPLICAS)):
        command = [binary, "--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        environment = {**LITELLM_ENV, "BENCH_KEYS": keys}
        started.append((procs.start(f"limits-{name}-{at}", command, port, environment, wait=180), port))
    return started


def litellm_config(name, redis, provider, case):
    models = [{"model_name": pool, "litellm_params": {
        "model": "openai/gpt-4o-mini",  # a priced model: an unknown one takes an exception path on every request
        "api_base": f"http://127.0.0.1:{provider}/v1", "api_key": case.key(pool), **deployment_limits(name, case)}}
        for pool in case.pools]
    at = {"host": "127.0.0.1", "port": redis}
    checks = [] if name.endswith("-keys") else ["enforce_model_rate_limits"]
    general = {"coordination_redis": at, "master_key": LITELLM_KEY}
    if name.endswith("-keys"):
        general["custom_auth"] = "litellm_keys.known"
    return {
        "model_list": models,
        "router_settings": {"redis_host": at["host"], "redis_port": redis, "num_retries": 0,
                            "optional_pre_call_checks": checks},
        "litellm_settings": {"telemetry": False, "request_timeout": 60, "num_retries": 0},
        "general_settings": general,
    }


def deployment_limits(name, case):
    if name.endswith("-keys"):
        return {}
    if case.unit == "tpm" and name.endswith("-reserving"):
        given = case.prompt_tokens / (case.prompt_tokens + MAX_TOKENS)
        return {"itpm": int(case.limit * given), "otpm": int(case.limit * (1 - given))}
    return {case.unit: case.limit}
