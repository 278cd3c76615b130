"""What is measured: connections, bodies, rates, and which world the targets must be set up for.

A world is a configuration of the targets (worlds.py says what Weir is told). In `plain` there is one deployment, and
every target takes part; in the others those that know how: nginx as the yardstick, and Weir.
"""
from .bodies import DIALECTS, MODEL, PATHS, STREAMS
from .worlds import FLEET, HOT, OFFERED

SCENARIOS = {
    "small64": dict(body="small", conns=64),
    "2k64": dict(body="2k", conns=64),
    "100k16": dict(body="100k", conns=16),
    "stream50": dict(body="stream", conns=32),
    "stream50d5": dict(body="stream", conns=64, mock=dict(delay_ms=5)),
    "c1": dict(body="small", conns=1),
    "c1stream": dict(body="stream", conns=1, mock=dict(delay_ms=1, chunks=5)),
    "r500": dict(body="small", conns=64, rate=500),
    # Streams of 5 s each. They begin spread over that time, else all of them would end at once and the calls that
    # complete within the window would not be those that the CPU was spent on.
    "streams1000": dict(body="stream", conns=1000, mock=dict(delay_ms=100), ramp=5.0, warmup=6.0, least=5.0),
    # The same calls by clients of other dialects than the upstream's: what telling them anew costs.
    **{f"2k64-{name}": dict(body=f"2k-{name}", conns=64, path=PATHS[name]) for name in DIALECTS},
    **{f"stream50-{name}": dict(body=f"stream-{name}", conns=32, path=STREAMS[name]) for name in DIALECTS},
    # 100 deployments: all calls on one pool of limits, or spread evenly over 20 models of 5 deployments each.
    "hot64": dict(world="fleet", body="small", models=[HOT], conns=64),
    "spread64": dict(world="fleet", body="small", models=FLEET, conns=64),
    "tenants64": dict(world="tenants", body="small", conns=64, keys=True),
    # The limit is one of a second, so the window is of whole ones.
    "overload": dict(world="overload", body="small", conns=64, rate=OFFERED, warmup=1.0, least=2.0, refused=(0.35, 0.65)),
    "failover64": dict(world="failover", body="small", conns=64),
}
# The dialects' scenarios, and what each is compared with.
ACROSS = {s: s.rsplit("-", 1)[0] for s in SCENARIOS if "-" in s}
QUICK = ["small64", "2k64", "100k16", "stream50", "stream50d5", "c1"]
# The scenario that a bound is set on is measured this often at least: one repetition varies by 10 %.
BOUND, BOUND_REPS = "small64", 7
# Without a proxy only the latency is of interest: what a target adds to it.
MOCK_ONLY = ("c1", "c1stream", "r500")


def world(scenario):
    return SCENARIOS[scenario].get("world", "plain")


def models(scenario):
    """The models that calls ask for in turn."""
    return SCENARIOS[scenario].get("models", [MODEL])
