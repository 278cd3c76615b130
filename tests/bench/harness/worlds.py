"""What Weir is told in each world: accounts, deployments, models, tenants, as TOML."""
import hashlib

from . import build
from .bodies import KEY, MODEL

# Limits that no run reaches, so that they are counted and refuse nothing.
AMPLE = "rpm = 60_000_000, tpm = 600_000_000_000"
ACCOUNTS = 5
FLEET = [f"fleet-{n}" for n in range(20)]
HOT = "fleet-hot"
TENANTS = 10_000
# Calls per second that the overloaded deployment may serve, and that are offered.
SERVED, OFFERED = 500, 1000
KEYS_FILE = f"{build.RUN}/tenant-keys"


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def account(name, port):
    return (f'[[accounts]]\nname = "{name}"\nprovider = "chat-alone" # openai-compatible without Responses\n'
            f'base_url = "http://127.0.0.1:{port}/v1"\napi_key = "sk-upstream-key-000000000000000000"\n\n')


def deployment(name, of, upstream="mock-model-upstream", limits=f"limits = {{ {AMPLE} }}"):
    return f'[[deployments]]\nname = "{name}"\naccount = "{of}"\nmodel = "{upstream}"\n{limits}\n\n'


def model(name, deployments, more=""):
    names = ", ".join(f'"{d}"' for d in deployments)
    return f'[[models]]\nname = "{name}"\ndeployments = [{names}]\n{more}\n'


def tenant(name, key, concurrency=10_000):
    return (f'[[tenants]]\nname = "{name}"\nkeys = ["sha256:{digest(key)}"]\nmodels = ["*"]\n'
            f"limits = {{ {AMPLE}, concurrency = {concurrency} }}\n\n")


def plain(mock, _dead):
    return account("bench", mock) + deployment("bench-a", "bench") + model(MODEL, ["bench-a"]) + tenant("bench", KEY)


def fleet(mock, dead):
    """20 models at each of 5 accounts, and one more deployment that alone serves a model."""
    text = plain(mock, dead)
    for a in range(ACCOUNTS):
        text += account(f"account-{a}", mock)
        text += "".join(deployment(f"{m}-{a}", f"account-{a}", f"up-{m}") for m in FLEET)
    text += "".join(model(m, [f"{m}-{a}" for a in range(ACCOUNTS)]) for m in FLEET)
    return text + deployment(HOT, "account-0", "up-hot") + model(HOT, [HOT])


def tenants(mock, dead):
    """10,000 tenants beside the usual one, each with limits of its own; their keys go into KEYS_FILE."""
    keys = [f"sk-tenant-{n:05}-0123456789" for n in range(TENANTS)]
    with open(KEYS_FILE, "w") as f:
        f.write("".join(f"{key}\n" for key in keys))
    return plain(mock, dead) + "".join(tenant(f"tenant-{n:05}", key, 100) for n, key in enumerate(keys))


def overload(mock, _dead):
    """Half of what is offered fits, and nothing waits."""
    limits = f'meters = [{{ kind = "requests", limit = {SERVED}, per = "1s" }}]'
    return (account("bench", mock) + deployment("bench-a", "bench", limits=limits)
            + model(MODEL, ["bench-a"], "queue = { max = 0 }\n") + tenant("bench", KEY))


def failover(mock, dead):
    """Two deployments, one of them at a provider that refuses every connection."""
    return (account("bench", mock) + account("dead", dead) + deployment("bench-a", "bench")
            + deployment("bench-dead", "dead") + model(MODEL, ["bench-a", "bench-dead"]) + tenant("bench", KEY))


WORLDS = {"plain": plain, "fleet": fleet, "tenants": tenants, "overload": overload, "failover": failover}
