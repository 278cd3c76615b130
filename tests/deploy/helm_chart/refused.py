"""Values that must be refused, each with a word of what must be said: before anything reaches a cluster, and so that one knows why."""

import helm_python
import yaml
from chart import over


class Named(str):
    """What the release is called."""


def webhook(url):
    """The change of a configuration that makes it tell of alerts there."""
    return ("\n[telemetry]", f'\n[alerts]\nwebhook = "{url}"\n[telemetry]')


# (what is wrong, the set that it is laid over, what is laid over it, what is said). In `config` a pair (old, new) replaces a part;
# a name is the release's.
TABLE = [
    ("a typo at the top", "minimal", "replica: 2", "additional properties 'replica' not allowed"),
    ("a typo below", "minimal", "service: { annotation: {} }", "additional properties 'annotation' not allowed"),
    ("a typo deep below", "minimal", "networkPolicy: { egress: { redis: { port: 1 } } }", "additional properties 'port' not allowed"),
    ("a word for a number", "minimal", "replicas: three", "got string, want integer"),
    ("a number for a word", "minimal", "image: { tag: 1.2 }", "got number, want string"),
    ("no replica", "minimal", "replicas: 0", "minimum: got 0, want 1"),
    ("a type that there is not", "minimal", "service: { type: ExternalName }",
     "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"),
    ("a port that there is not", "minimal", "service: { port: 70000 }", "maximum: got 70,000, want 65,535"),
    ("no digest", "minimal", "image: { digest: latest }", "does not match pattern"),
    ("a mode that there is not", "minimal", "restartOnConfigChange: sometimes", "value must be one of 'needed', 'always', 'never'"),
    ("root", "minimal", "runAs: { user: 0 }", "minimum: got 0, want 1"),
    ("a label of the chart's own", "minimal", "podLabels: { app.kubernetes.io/name: x }", "invalid propertyName 'app.kubernetes.io/name'"),
    ("memory that means something else", "minimal", "resources: { limits: { memory: 2g } }", "does not match pattern"),
    ("an address for a range", "minimal", "service: { loadBalancerSourceRanges: [10.0.0.1] }", "does not match pattern"),
    ("a peer that is none", "minimal", "networkPolicy: { ingress: { admin: [{ pods: {} }] } }", "additional properties 'pods' not allowed"),
    ("a file that is no provider's", "minimal", "providers: { house: x }", "invalid propertyName 'house'"),
    ("no configuration", "minimal", 'config: ""', "`config` is empty"),
    ("no TOML", "minimal", ("version = 1", "version = = 1"), "`config` is no TOML"),
    ("nobody can ask how it is", "minimal", ('metrics_listen = "0.0.0.0:9464"', ""), "[server] needs metrics_listen"),
    ("nor from outside the pod", "minimal", ('"0.0.0.0:9464"', '"127.0.0.1:9464"'), "[server] needs metrics_listen"),
    ("nobody can call", "tls", ('"0.0.0.0:8443"', '"127.0.0.1:8443"'), "nobody reaches that in a pod"),
    ("a port that only the pod knows", "tls", ('"0.0.0.0:8443"', '"0.0.0.0:${PORT}"'), "the chart must know its port"),
    ("one port for two", "tls", ('"0.0.0.0:8443"', '"0.0.0.0:9464"'), "need three ports"),
    ("a time that is none", "redis-trial", ('"1m 30s"', '"soon"'), 'server.drain_timeout = "soon": expected a duration'),
    ("a unit that is none", "redis-trial", ('"1m 30s"', '"1 fortnight"'), 'does not know the unit "fortnight"'),
    ("several that count apart", "minimal", "replicas: 2", "each of several replicas would use the whole of every limit"),
    ("the same by scaling", "minimal", "autoscaling: { enabled: true }", "each of several replicas would use the whole of every limit"),
    ("a certificate that is not used", "minimal", "tls: { secret: weir-tls }", "tls.secret: `config` must have in [server]: tls = {"),
    ("a certificate that is not there", "tls", 'tls: { secret: "" }', "set tls.secret to the Secret that has it"),
    ("providers that are not read", "minimal", "providers: { house.toml: x }", 'providers_dir = "/etc/weir/providers"'),
    ("prices that are not read", "minimal", "prices: version = 1", 'prices = "/etc/weir/config/prices.toml"'),
    ("a full replica is killed", "minimal", "resources: { limits: { memory: 512Mi } }", "a replica that is full takes 1730Mi"),
    ("the same by the file", "redis-trial", ('"64MiB"', '"128MiB"'), "a replica that is full takes 625Mi"),
    ("fewer at most than at least", "production", "autoscaling: { minReplicas: 13 }", "minReplicas is more than maxReplicas"),
    ("nothing to scale on", "external-metrics", "autoscaling: { callsInFlight: { enabled: false }, limitsInUse: { enabled: false } }",
     "nothing to scale on"),
    ("a share of nothing", "production", "resources: { requests: { cpu: null } }", "a share of resources.requests.cpu"),
    ("asked longer than until the next time", "production", "monitoring: { serviceMonitor: { interval: 5s } }",
     'scrapeTimeout = "10s" is longer than interval = "5s"'),
    ("the same by a little", "production", "monitoring: { serviceMonitor: { interval: 10100ms, scrapeTimeout: 10900ms } }",
     'scrapeTimeout = "10900ms" is longer than interval = "10100ms"'),
    ("a tag that changes nothing", "production", "image: { tag: 0.2.0 }", 'image.tag = "0.2.0", and image.digest says which image'),
    ("a release whose name begins with a digit", "minimal", Named("1prod"), 'no Service can be called "1prod-weir"'),
    ("a release with a dot in its name", "minimal", Named("a.b"), 'no Service can be called "a.b-weir"'),
    ("a release with a dot, and weir in its name", "minimal", Named("weir.b"), 'no Service can be called "weir.b"'),
    ("another name for the replica", "minimal", "env: [{ name: WEIR_REPLICA, value: x }]", "WEIR_REPLICA is set by the chart"),
    ("a Redis that is not used", "minimal", "redis: { enabled: true, password: 0123456789abcdef }", "`config` must have in [state]: url ="),
    ("a Redis for everybody", "redis-trial", 'redis: { password: "" }', "redis.password is empty"),
    ("a Redis for who can guess", "redis-trial", "redis: { password: redis }", "does not match pattern"),
    ("a key in clear", "minimal", ("${file:/etc/weir/secrets/OPENAI_API_KEY}", "sk-live"), "accounts.openai.api_key stands in clear"),
    ("a part of a key in clear", "minimal", ("${file:/etc/weir/secrets/OPENAI_API_KEY}", "sk-live-secret-${X}"),
     "accounts.openai.api_key stands in clear"),
    ("a key behind a reference", "minimal", ("OPENAI_API_KEY}", "OPENAI_API_KEY}sk-live"), "accounts.openai.api_key stands in clear"),
    ("a key that only looks like a reference", "minimal", ("${file:/etc/weir/secrets/OPENAI_API_KEY}", "$${sk_live}"),
     "accounts.openai.api_key stands in clear"),
    ("a key in the place of a name", "minimal", ("${file:/etc/weir/secrets/OPENAI_API_KEY}", "${sk-live}"),
     "accounts.openai.api_key stands in clear"),
    ("a password in an address", "production", ("http://vllm.inference", "http://u:sk-live@vllm.inference"),
     "a user or password in accounts.base_url stands in clear"),
    ("a token as the user of an address", "production", ("http://vllm.inference", "http://sk-live@vllm.inference"),
     "a user or password in accounts.base_url stands in clear"),
    ("a collector's password in clear", "production", ("http://collector", "http://u:sk-live${X}@collector"),
     "a user or password in telemetry.otlp_endpoint stands in clear"),
    ("a provider's password in clear", "sentinel-tls", "providers: { house.toml: 'base_url = \"https://u:sk-live@h\"' }",
     "a user or password in providers.house.toml.base_url stands in clear"),
    ("a webhook in clear", "production", webhook("https://hooks.example/services/T0/sk-live"), "alerts.webhook stands in clear"),
    ("a part of a webhook in clear", "production", webhook("https://hooks.example/services/sk-live-secret-${X}"),
     "alerts.webhook stands in clear"),
    ("a webhook that only looks like a reference", "production", webhook("https://hooks.example/services/$${sk_live}"),
     "alerts.webhook stands in clear"),
    ("a webhook's query in clear", "production", webhook("https://hooks.example/?key=sk-live-secret-0&to=${X}"),
     "alerts.webhook stands in clear"),
    ("a token in clear", "production", ("${file:/etc/weir/secrets/ADMIN_TOKEN}", "sk-live"), "server.admin_token stands in clear"),
    ("a part of a header in clear", "production", ("Bearer ${file:/etc/weir/secrets/OTLP_TOKEN}", "Bearer sk-live${X}"),
     "telemetry.otlp_headers.authorization stands in clear"),
    ("a header in clear", "production", ("Bearer ${file:/etc/weir/secrets/OTLP_TOKEN}", "Bearer sk-live"),
     "telemetry.otlp_headers.authorization stands in clear"),
    ("an account's header in clear", "minimal", ('provider = "openai"', 'provider = "openai"\nheaders = { X-Api-Key = "sk-live" }'),
     "accounts.openai.headers.X-Api-Key stands in clear"),
    ("credentials in clear", "production", ('region = "us-east-1"',
     'region = "us-east-1"\ncredentials = { kind = "aws", access_key_id = "AKIA", secret_access_key = "sk-live" }\n'),
     "accounts.bedrock.credentials.secret_access_key stands in clear"),
    ("a password in clear", "production", ("${file:/etc/weir/secrets/REDIS_PASSWORD}", "sk-live"), "the password in state stands in clear"),
    ("a part of a password in clear", "production", ("REDIS_PASSWORD}", "REDIS_PASSWORD}sk-live"), "the password in state stands in clear"),
    ("a password with a sign in it", "production", ("${file:/etc/weir/secrets/REDIS_PASSWORD}", "sk-live@1"),
     "the password in state stands in clear"),
    ("one of a cluster's in clear", "tls", ("${file:/etc/weir/secrets/REDIS_PASSWORD}@r2", "sk-live@r2"),
     "the password in state stands in clear"),
    ("one behind sentinels in clear", "sentinel-tls", ("${file:/etc/weir/secrets/REDIS_PASSWORD}", "sk-live"),
     "state.sentinel.data_password stands in clear"),
]


# What holds no secret and must be taken, laid over a set as above.
TAKEN = [
    ("minimal", ("${file:/etc/weir/secrets/OPENAI_API_KEY}", "${A}${B}")),
    ("production", ("Bearer ${file:/etc/weir/secrets/OTLP_TOKEN}", "Basic ${USER_AND_PASSWORD}")),
    ("minimal", ('provider = "openai"', 'provider = "openai"\nheaders = { cookie = "session=${A}; other=${B}" }')),
    ("production", ("rediss://weir:${file:/etc/weir/secrets/REDIS_PASSWORD}@", "rediss://")),
    ("production", ("rediss://weir:${file:/etc/weir/secrets/REDIS_PASSWORD}@redis.internal:6379/0", "${REDIS_URL}")),
    ("production", ("rediss://weir:", "rediss://${USER}:")),
    ("production", ("http://vllm.inference", "http://${HOST}")),
    ("production", webhook("")),
    ("production", webhook("${WEBHOOK}")),
    ("production", webhook("http://receiver.monitoring:8080")),
    ("production", webhook("https://hooks.example/services/T0123ABCD/B0123ABCD/${TOKEN}")),
    ("production", webhook("https://hooks.example/incoming-webhook?key=${TOKEN}")),
]


def faults(chart, table=TABLE):
    """Yields what was taken, or refused for another reason; and what is refused though nothing is wrong."""
    sets = chart.sets()
    for what, base, wrong, wanted in table:
        try:
            chart.render(*changed(sets[base], wrong))
        except helm_python.HelmError as error:
            if wanted not in str(error):
                yield f"{what}: refused, but for: {error}"
            if "sk-live" in str(error):
                yield f"{what}: the refusal shows the secret"
        else:
            yield f"{what}: it was taken"
    for base, change in TAKEN if table is TABLE else ():
        try:
            chart.render(*changed(sets[base], change))
        except helm_python.HelmError as error:
            yield f"{base} with {change} is refused: {error}"
    literal = over(sets["minimal"], {"allowLiteralSecrets": True, "config": sets["minimal"]["config"].replace("${file:", "x")})
    chart.render(literal)
    chart.render(over(sets["minimal"], {"fullnameOverride": "prod"}), "1prod")


def changed(values, change):
    """Values with a change of the tables' kind, and the release's name."""
    if isinstance(change, Named):
        return values, change
    if isinstance(change, str):
        return over(values, yaml.safe_load(change)), "weir"
    old, new = change
    if old not in values["config"]:
        raise SystemExit(f"the configuration has no {old}")
    return over(values, {"config": values["config"].replace(old, new)}), "weir"
