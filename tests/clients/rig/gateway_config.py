"""The gateway's configuration for the suites: one deployment per behaviour, one tenant per purpose and language.

Behind it stand the strict provider, the scripted one with two accounts, and aimock. Tests of limits spend their tenant's limits, so each language has its own; everything else runs as `main`.
"""
import hashlib

LANGUAGES = ("python", "node")
PURPOSES = {
    "limited": 'meters = [{ kind = "requests", limit = 2, per = "3s" }]',
    "patient": 'meters = [{ kind = "requests", limit = 2, per = "3s" }]',
    "counted": "limits = { rpm = 1_000, tpm = 100_000 }",
    "single": "limits = { concurrency = 1 }",
    "small": "limits = { tpm = 1_000 }",
}
STRICT_KEYS = ("sk-up-a", "sk-up-b")

# name: the model that the scripted provider is asked for
SCRIPTED = {
    "echo-a": "echo",
    "echo-b": "echo",
    "slow": "slow",
    "drip": "drip",
    "cut": "cut",
    "cut-early": "cut-early",
    "error-event": "error-event",
    "refuse": "refuse-400",
    "busy": "busy-429",
    "broken-a": "fail-500",
    "broken-b": "fail-500",
    "broken-c": "fail-500",
    "overloaded": "fail-503",
    "unprocessable": "refuse-422",
}

# name: the model that aimock is asked for; aimock.json says what it makes of each
AIMOCK = {"mock": "mock", "mock-down": "mock-down", "mock-dropped": "mock-dropped", "mock-garbled": "mock-garbled"}

MODELS = """
[[models]]
name = "strict"
strategy = "capacity"
deployments = ["strict-a", "strict-b"]

[[models]]
name = "echo"
aliases = ["echo-alias"]
deployments = ["echo-a"]

[[models]]
name = "vendor/echo"
strategy = "weighted"
deployments = [{ name = "echo-a", weight = 3 }, { name = "echo-b", weight = 1 }]

[[models]]
name = "session"
strategy = "round-robin"
deployments = ["echo-a", "echo-b"]
affinity = { header = "x-session-id", ttl = "1h" }

[[models]]
name = "late"
timeouts = { connect = "100ms", first_token = "200ms", total = "300ms" }
retry = { attempts = 1 }
deployments = ["slow"]

[[models]]
name = "broken"
strategy = "round-robin"
deployments = ["broken-a", "broken-b", "broken-c"]

[[models]]
name = "broken-mixed"
deployments = ["denied", "overloaded"]

[[models]]
name = "kept"
strategy = "round-robin"
deployments = ["echo-a", "echo-other"]

[[models]]
name = "mock-failover"
deployments = [
  { name = "mock-down", priority = 0 }, { name = "mock-dropped", priority = 1 }, { name = "mock", priority = 2 },
]

[[models]]
name = "mock-garbled"
deployments = [{ name = "mock-garbled", priority = 0 }, { name = "mock", priority = 1 }]

[[models]]
name = "wild-*"
deployments = ["echo-a"]

[[models]]
name = "failover"
deployments = [{ name = "broken-a", priority = 0 }, { name = "echo-a", priority = 1 }]

[[models]]
name = "failover-stream"
deployments = [{ name = "cut-early", priority = 0 }, { name = "echo-a", priority = 1 }]

[[models]]
name = "failover-busy"
deployments = [{ name = "busy", priority = 0 }, { name = "echo-a", priority = 1 }]
"""


def alone():
    """The models that are one deployment of the same name."""
    names = ["slow", "drip", "cut", "error-event", "refuse", "unprocessable", "busy", "mock"]
    return [*names, *(f"left-{language}" for language in LANGUAGES)]


def keys():
    """The secret of every tenant, by name; any text is a key to the gateway."""
    names = ["main", "narrow", *(f"{purpose}-{suite}" for purpose in PURPOSES for suite in (*LANGUAGES, "ai"))]
    return {name: f"sk-weir-{name}" for name in names}


def text(listen, admin, ports, redis_port):
    """The file; `ports` are the providers', `redis_port` None means embedded state."""
    state = f'[state]\nurl = "redis://127.0.0.1:{redis_port}/0"\non_outage = "closed"\n' if redis_port else ""
    return "\n".join(
        [
            f'version = 1\n\n[server]\nlisten = "127.0.0.1:{listen}"\nadmin_listen = "127.0.0.1:{admin}"',
            'max_body = "1MiB"\ndrain_delay = "0s"\n',
            state,
            '[defaults]\nretry = { attempts = 3, base = "10ms", max = "50ms" }',
            "circuit = { enabled = false }",  # every failure is looked at by itself
            'timeouts = { connect = "2s", first_token = "45s", idle = "45s", total = "2m" }\n',
            accounts(**ports),
            MODELS,
            *(f'[[models]]\nname = "{name}"\ndeployments = ["{name}"]\n' for name in alone()),
            tenants(),
        ]
    )


def accounts(strict, scripted, aimock):
    """Accounts and deployments, by the providers' ports."""
    parts = []
    for letter, key in zip("ab", STRICT_KEYS, strict=True):
        parts.append(account(f"strict-{letter}", strict, key))
        parts.append(deployment(f"strict-{letter}", f"strict-{letter}", "strict"))
        parts.append("limits = { rpm = 50_000, tpm = 50_000_000 }\n")
    for language in LANGUAGES:  # a model of its own, so that the strict provider's log tells the suites apart
        parts.append(deployment(f"left-{language}", "strict-a", f"left-{language}"))
    parts.append(account("scripted", scripted, "sk-scripted"))
    parts += [deployment(name, "scripted", model) for name, model in SCRIPTED.items()]
    # An account whose key is refused is left alone, so this one has no other deployment, and is tried again at once.
    parts += [account("denied", scripted, "sk-scripted-denied"), deployment("denied", "denied", "deny-401")]
    parts.append('cooldown = { default = "1ms", max = "1ms" }')
    parts += [account("other", scripted, "sk-scripted-other"), deployment("echo-other", "other", "echo")]
    parts.append(account("aimock", aimock, "sk-aimock"))
    parts += [deployment(name, "aimock", model) for name, model in AIMOCK.items()]
    return "\n".join(parts)


def account(name, port, key):
    """One account at one of our providers."""
    url = f"http://127.0.0.1:{port}/v1"
    return f'[[accounts]]\nname = "{name}"\nprovider = "openai-compatible"\nbase_url = "{url}"\napi_key = "{key}"\n'


def deployment(name, account_name, model):
    """One deployment."""
    return f'[[deployments]]\nname = "{name}"\naccount = "{account_name}"\nmodel = "{model}"\nmax_output = 256'


def tenants():
    """Every tenant, with the digest of its key."""
    allowed = {"narrow": '["echo", "vendor/*"]'}
    parts = []
    for name, secret in keys().items():
        digest = hashlib.sha256(secret.encode()).hexdigest()
        limits = PURPOSES.get(name.rpartition("-")[0], "")
        models = allowed.get(name, '["*"]')
        parts.append(f'[[tenants]]\nname = "{name}"\nkeys = ["sha256:{digest}"]\nmodels = {models}\n{limits}\n')
    return "\n".join(parts)
