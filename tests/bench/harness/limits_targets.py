"""Gateways that are to keep limits: Weir with any number of replicas, LiteLLM with two, each with one Redis.

A pool is a key of the provider with a limit, and a model of the gateway that leads there and nowhere else. Nothing
waits and nobody tries again: what does not fit is refused at once, by whoever knows first.

LiteLLM is given what its version enforces best: `enforce_model_rate_limits` counts each call in Redis before it is
sent, in clock minutes. Of tokens its `tpm` is looked at before a call and counted after it (`litellm-2`); its `itpm`
and `otpm` are reserved before and corrected after (`litellm-2-reserving`), for which the limit is split as the load's
own calls are, input to largest output. Usage-based routing chooses among deployments and enforces less, so it is not
used. Its limits per key are another counter of the same kind and need a database; they are not compared.
"""
import json

from . import build, weir
from .bodies import KEY
from .peers import HOME, LITELLM_ENV, LITELLM_KEY, there
from .procs import free_ports
from .weir import headers
from .worlds import digest

MAX_TOKENS = 64
LITELLM_REPLICAS = 2


def start(procs, name, binary, redis, provider, case):
    """Starts a gateway; [(pid, port)], and the headers that its clients send."""
    if name.startswith("weir-"):
        text = weir_world(provider, case)
        return weir.start(procs, name, binary, redis, text, label="limits-"), headers()
    if name in ("litellm-2", "litellm-2-reserving"):
        return start_litellm(procs, name, redis, provider, case), headers(LITELLM_KEY)
    raise SystemExit(f"unknown target {name}")


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
    config = f"{build.RUN}/limits-{name}.yaml"
    with open(config, "w") as f:  # JSON is YAML
        json.dump(litellm_config(name, redis, provider, case), f)
    started = []
    for at, port in enumerate(free_ports(LITELLM_REPLICAS)):
        command = [binary, "--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        started.append((procs.start(f"limits-{name}-{at}", command, port, LITELLM_ENV, wait=180), port))
    return started


def litellm_config(name, redis, provider, case):
    limits = {case.unit: case.limit}
    if case.unit == "tpm" and name.endswith("reserving"):
        given = case.prompt_tokens / (case.prompt_tokens + MAX_TOKENS)
        limits = {"itpm": int(case.limit * given), "otpm": int(case.limit * (1 - given))}
    models = [{"model_name": pool, "litellm_params": {
        "model": "openai/gpt-4o-mini",  # a priced model: an unknown one takes an exception path on every request
        "api_base": f"http://127.0.0.1:{provider}/v1", "api_key": case.key(pool), **limits}} for pool in case.pools]
    return {
        "model_list": models,
        "router_settings": {"redis_host": "127.0.0.1", "redis_port": redis, "num_retries": 0,
                            "optional_pre_call_checks": ["enforce_model_rate_limits"]},
        "litellm_settings": {"telemetry": False, "request_timeout": 60, "num_retries": 0},
        "general_settings": {"master_key": LITELLM_KEY},
    }
