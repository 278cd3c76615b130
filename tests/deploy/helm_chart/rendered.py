"""What the rendered objects must say, by what can go wrong with each. Every check is a function that yields faults of one release;
those at the end compare several."""

import base64
import ipaddress
import json
import re

import copies
import facts
import yaml
from chart import DEPLOY, over
from refused import changed, webhook

# The metadata servers of clouds, and the agents of EKS' Pod Identity.
METADATA = [ipaddress.ip_address(address) for address in ("169.254.169.254", "169.254.170.23", "fd00:ec2::23")]
# (a set, a change of it as in refused.py, what is at a port that is shut, and the setting that would open it)
EXTRA = "networkPolicy.egress.extra"
NOTED = [
    *((base, "{}", []) for base in ("production", "sentinel-tls", "redis-trial", "tls", "minimal")),
    ("production", ("collector.telemetry:4317", "collector.telemetry:14317"),
     [("the collector is at the port 14317", "networkPolicy.egress.otlp.ports")]),
    ("production", ("http://collector.telemetry:4317", "https://collector.example"), []),
    ("production", webhook("https://hooks.example:8443/${X}"), [("the webhook is at the port 8443", EXTRA)]),
    ("production", webhook("http://${RECEIVER}/alerts/${X}"), []),
    ("production", webhook("http://${RECEIVER}:9000/${X}"), [("the webhook is at the port 9000", EXTRA)]),
    ("production", ("vllm.inference:8000", "vllm.inference:9000"), [("the account own-gpus is at the port 9000", EXTRA)]),
    ("production", ("vllm.inference:8000", "vllm.inference"), [("the account own-gpus is at the port 80", EXTRA)]),
    ("production", "networkPolicy: { egress: { extra: [] } }", [("the account own-gpus is at the port 8000", EXTRA)]),
    ("production", "networkPolicy: { enabled: false, egress: { extra: [] } }", []),
    ("production", "networkPolicy: { egress: { extra: [{ ports: [{ port: 7000, endPort: 8000 }] }] } }", []),
    ("production", "networkPolicy: { egress: { extra: [{ ports: [{ port: 7000, endPort: 7999 }] }] } }",
     [("the account own-gpus is at the port 8000", EXTRA)]),
    ("production", "networkPolicy: { egress: { extra: [{ to: [{ podSelector: {} }] }] } }", []),
    ("production", ("redis.internal:6379", "redis.internal:6380"),
     [("a server of [state] is at the port 6380", "networkPolicy.egress.redis.ports")]),
    ("production", "networkPolicy: { egress: { redis: { ports: [6380] } } }",
     [("a server of [state] is at the port 6379", "networkPolicy.egress.redis.ports")]),
    ("sentinel-tls", ("s3.redis:26379", "s3.redis:26380"),
     [("a server of [state] is at the port 26380", "networkPolicy.egress.redis.ports")]),
    ("sentinel-tls", "providers: { house.toml: 'base_url = \"https://inference.internal:8443/v1\"' }",
     [("the provider of house.toml is at the port 8443", EXTRA)]),
    ("tls", "networkPolicy: { enabled: true, egress: { redis: { ports: [6380] } } }",
     [("a server of [state] is at the port 6379", "networkPolicy.egress.redis.ports")]),
]
BALANCER_SENDS = 150  # seconds after a pod was deregistered, by deploy/BALANCERS.md


def faults(chart, only=None):
    """Yields the faults of all sets of values, by all checks or by one."""
    alone = [secrets, rights, patience, picked, probes, services, balanced, files, scaling, policies, monitoring, whole]
    together = [identities, noted, selectors, rolled, named]
    if only:
        alone, together = ([check for check in checks if check.__name__ == only] for checks in (alone, together))
    for name, values in chart.sets().items() if alone else ():
        release = chart.render(values)
        told = facts.of(release.toml(), values.get("providers", {}).values())
        for check in alone:
            for fault in check(values, release, told):
                yield f"{name}: {check.__name__}: {fault}"
    for check in together:
        for fault in check(chart):
            yield f"{check.__name__}: {fault}"


def secrets(values, release, _):
    """A value that is secret stands in Secrets alone, as nothing else does there in clear."""
    hidden = list(values.get("secrets", {}).get("values", {}).values())
    hidden += [password] if (password := values.get("redis", {}).get("password")) else []
    for found in release.objects:
        if found["kind"] == "Secret":
            continue
        text = json.dumps(found)
        for secret in hidden:
            if secret in text or base64.b64encode(secret.encode()).decode() in text:
                yield f"a secret stands in {found['kind']} {found['metadata']['name']}"
    for secret in hidden:
        if secret in release.notes:
            yield "a secret stands in the notes"
    kept = {value for found in release.all("Secret") for value in found["data"].values()}
    if not {base64.b64encode(secret.encode()).decode() for secret in hidden} <= kept:
        yield "a secret stands in no Secret"


def rights(values, release, _):
    """No process is root, may become it, writes to its image, or holds a token of the API server."""
    for kind, _labels, spec in release.templates():
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{kind}: it may be root, or make any system call"
        assigned = values.get("runAs", {"user": 1})["user"] is None and kind != "StatefulSet"
        if (context.get("runAsUser") is None) != assigned or context.get("runAsUser") == 0:
            yield f"{kind}: the user is {context.get('runAsUser')}"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{kind}: it has a token of the API server"
        if spec.get("enableServiceLinks") is not False:
            yield f"{kind}: Services add variables to its environment"
        for container in spec["containers"] + spec.get("initContainers", []):
            own = container.get("securityContext", {})
            tight = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            if {key: own.get(key) for key in tight} != tight or own.get("privileged"):
                yield f"{kind}: {container['name']} may more than it needs"
            if not container.get("resources", {}).get("limits", {}).get("memory"):
                yield f"{kind}: {container['name']} may take all memory"


def patience(_, release, told):
    """A pod may take longer to end than Weir does, and nothing is in the way of that."""
    spec = release.deployment()["spec"]["template"]["spec"]
    if not told.drain + 3 <= spec["terminationGracePeriodSeconds"] <= told.drain + 30:
        yield f"{spec['terminationGracePeriodSeconds']} s to end, where Weir takes up to {told.drain:g} s"
    if "lifecycle" in spec["containers"][0]:
        yield "a hook delays SIGTERM, by which Weir begins to send clients elsewhere"
    rollout = release.deployment()["spec"]["strategy"]
    if rollout["type"] != "RollingUpdate" or rollout["rollingUpdate"]["maxUnavailable"] != 0:
        yield "a rollout takes replicas away before others are there"


def picked(_, release, __):
    """Whatever selects pods selects Weir's, or Redis', and no others."""
    pods = {kind: labels for kind, labels, _spec in release.templates()}
    for found in release.objects:
        for selector, whose in chosen(found):
            kinds = {kind for kind, labels in pods.items() if selector.items() <= labels.items()}
            if kinds != {whose}:
                yield f"{found['kind']} {found['metadata']['name']} selects the pods of {sorted(kinds) or 'nobody'}"


def chosen(found):
    """Yields (labels, kind whose pods are meant) of each selector of an object."""
    whose = "StatefulSet" if found["metadata"]["name"].endswith("-redis") else "Deployment"
    spec = found.get("spec", {})
    if found["kind"] == "Service":
        yield spec["selector"], whose
    elif found["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
        yield spec["selector"]["matchLabels"], whose
    elif found["kind"] == "NetworkPolicy":
        yield spec["podSelector"]["matchLabels"], whose
    if found["kind"] == "Deployment":
        for spread in spec["template"]["spec"]["topologySpreadConstraints"]:
            yield spread["labelSelector"]["matchLabels"], whose


def probes(_, release, told):
    """Probes ask ports that exist and speak what the listener speaks; one that kills does not ask where clients queue."""
    container = release.deployment()["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listening = {name: port for name, port in told.ports.items() if name != "admin" or told.admin_open}
    if ports != listening:
        yield f"the container has the ports {ports}, and Weir listens at {listening}"
    for name, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        asked = container[name]["httpGet"]
        if asked["port"] not in ports:
            yield f"{name} asks the port {asked['port']}, which does not exist"
        if asked["path"] != path:
            yield f"{name} asks {asked['path']}"
        if asked["scheme"] != ("HTTPS" if told.tls and asked["port"] == "client" else "HTTP"):
            yield f"{name} speaks {asked['scheme']} to {asked['port']}"
        if asked["port"] == "client" and told.proxied:
            yield f"{name} begins without the PROXY header that the listener wants"
    if container["livenessProbe"]["httpGet"]["port"] == "client":
        yield "a replica that is full of connections is killed"
    if container["readinessProbe"]["httpGet"]["port"] != ("metrics" if told.proxied else "client"):
        yield "a replica is ready whether its clients' listener answers or not"


def services(values, release, told):
    """Clients reach the clients' port alone, and the admin listener is not there from outside."""
    container = release.deployment()["spec"]["template"]["spec"]["containers"][0]
    there = {port["name"] for port in container["ports"]}
    reached = {}
    for found in release.all("Service"):
        if not found["metadata"]["name"].endswith("-redis"):
            spec = found["spec"]
            reached[found["metadata"]["labels"]["app.kubernetes.io/component"]] = [port["targetPort"] for port in spec["ports"]]
            if spec["type"] != "ClusterIP" and found["metadata"]["labels"]["app.kubernetes.io/component"] != "client":
                yield f"{found['metadata']['name']} is there from outside the cluster"
            if not {port["targetPort"] for port in spec["ports"]} <= there:
                yield f"{found['metadata']['name']} leads to a port that the pod does not have"
    wanted = {"client": ["client"], "metrics": ["metrics"]} | ({"admin": ["admin"]} if told.admin_open else {})
    if reached != wanted:
        yield f"{reached}, and not {wanted}"
    client = next(found for found in release.all("Service") if found["metadata"]["labels"].get("app.kubernetes.io/component") == "client")
    if client["spec"]["ports"][0]["name"] != ("https" if told.tls else "http"):
        yield "the port's name does not say what is spoken there"
    if client["spec"]["type"] != values.get("service", {}).get("type", "ClusterIP"):
        yield f"it is a {client['spec']['type']}"


def balanced(values, release, told):
    """A network load balancer of AWS is as patient as deploy/BALANCERS.md asks, and Weir with it."""
    if values.get("service", {}).get("loadBalancerClass") != "service.k8s.aws/nlb":
        return
    client = release.one("Service", release.deployment()["metadata"]["name"])
    told_it = {key.rsplit("/aws-load-balancer-", 1)[-1]: value for key, value in client["metadata"].get("annotations", {}).items()}
    group = dict(pair.split("=") for pair in told_it.get("target-group-attributes", "").split(",") if pair)
    if group.get("target_health_state.unhealthy.connection_termination.enabled") != "false":
        yield "the balancer cuts what an unhealthy replica still answers"
    for name in ("target_health_state.unhealthy.draining_interval_seconds", "deregistration_delay.timeout_seconds"):
        if int(group.get(name, 0)) < told.drain + 30:
            yield f"the balancer's {name} is shorter than a replica takes to end"
    if told_it.get("healthcheck-path") != "/readyz":
        yield "the balancer does not ask whether a replica is ready"
    if told.delay < BALANCER_SENDS:
        yield "the balancer still sends when a replica's listener is closed"


def files(_, release, told):
    """What the configuration names is there, and a change of it arrives."""
    spec = release.deployment()["spec"]["template"]["spec"]
    container = spec["containers"][0]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    if {mount["name"] for mount in mounts.values()} != {volume["name"] for volume in spec["volumes"]}:
        yield "not every volume is mounted, or there is none for a mount"
    for path in [*told.files, container["args"][-1]]:
        if not any(path == at or path.startswith(f"{at}/") for at in mounts):
            yield f"nothing is mounted where {path} should be"
    if any("subPath" in mount for mount in mounts.values()):
        yield "a change of a file that is mounted by itself never arrives"
    if not all(mount.get("readOnly") for mount in mounts.values()):
        yield "a mount may be written to"
    for found in [release.one("ConfigMap", volume["configMap"]["name"]) for volume in spec["volumes"] if volume["name"] == "config"]:
        if found is None or found.get("immutable"):
            yield "the configuration's ConfigMap is not there, or cannot change"


def scaling(values, release, _):
    """Who scales is alone with it."""
    spec = release.deployment()["spec"]
    scaler = release.one("HorizontalPodAutoscaler", release.deployment()["metadata"]["name"])
    wanted = values.get("autoscaling", {}).get("enabled", False)
    if bool(scaler) != wanted or ("replicas" in spec) == wanted:
        yield "there are two who say how many replicas there are, or none"
    if not scaler:
        return
    if scaler["spec"]["scaleTargetRef"]["name"] != release.deployment()["metadata"]["name"]:
        yield "it scales something else"
    for metric in scaler["spec"]["metrics"]:
        target = metric["external"]["target"] if metric["type"] == "External" else None
        if target and target["type"] != "AverageValue":
            yield "a level that replicas do not lower would be chased up to maxReplicas"
    down = scaler["spec"]["behavior"]["scaleDown"]
    if down["stabilizationWindowSeconds"] < 300 or [policy["value"] for policy in down["policies"]] != [1]:
        yield "replicas are ended faster than their streams"


def policies(values, release, told):
    """What is not for everybody is named; and the metadata server is out of reach unless it is wanted."""
    policy = release.one("NetworkPolicy", release.deployment()["metadata"]["name"])
    if bool(policy) != values.get("networkPolicy", {}).get("enabled", False):
        yield "there is a policy though none was asked for, or the other way round"
    if not policy:
        return
    if policy["spec"]["policyTypes"] != ["Ingress", "Egress"]:
        yield "it is not about both ways"
    for rule in policy["spec"]["ingress"]:
        ports = {port["port"] for port in rule["ports"]}
        if ports != {told.ports["client"]} and not rule.get("from"):
            yield f"anybody reaches the ports {ports}"
        if not ports <= set(told.ports.values()):
            yield f"the ports {ports} are not Weir's"
    if not any({port["port"] for port in rule["ports"]} == {told.ports["client"]} for rule in policy["spec"]["ingress"]):
        yield "nobody may call"
    wanted = values.get("networkPolicy", {}).get("egress", {}).get("metadata", {}).get("enabled", False)
    if not wanted and any(reaches(rule, agent, 80) for rule in policy["spec"]["egress"] for agent in METADATA):
        yield "the metadata server is in reach, and nobody asks for it"
    for what, port in (("names", 53), ("providers", 443)):
        if not any(reaches(rule, ipaddress.ip_address("93.184.216.34"), port) for rule in policy["spec"]["egress"]):
            yield f"{what} are out of reach"
    for what, host, port in told.reached:
        if not any(leads(rule, host, port, release) for rule in policy["spec"]["egress"]):
            yield f"{what} is out of reach at the port {port}"
    if inner := release.one("NetworkPolicy", f"{policy['metadata']['name']}-redis"):
        peers = [peer["podSelector"]["matchLabels"] for rule in inner["spec"]["ingress"] for peer in rule["from"]]
        pods = release.deployment()["spec"]["template"]["metadata"]["labels"]
        if not any(labels.items() <= pods.items() for labels in peers):
            yield "Redis takes no connection of Weir's"


def leads(rule, host, port, release):
    """Does a rule of egress let a host's name at a port through? Names of the cluster are SERVICE, or SERVICE.NAMESPACE."""
    if port not in {given["port"] for given in rule["ports"]}:
        return False
    service, _, namespace = host.partition(".")
    for peer in rule.get("to", []):
        if "ipBlock" in peer:
            block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
            there = bool(namespace) and block.prefixlen < block.max_prefixlen  # (a single address is an agent's)
        elif "namespaceSelector" in peer:
            there = peer["namespaceSelector"]["matchLabels"].get("kubernetes.io/metadata.name") == namespace
        else:
            pods = release.one("StatefulSet", service)["spec"]["template"]["metadata"]["labels"]
            there = not namespace and peer["podSelector"]["matchLabels"].items() <= pods.items()
        if there:
            return True
    return "to" not in rule


def reaches(rule, address, port):
    """Does a rule of egress let an address at a port through? One that names no peers lets all."""
    if port not in {given["port"] for given in rule["ports"]}:
        return False
    blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
    inside = [block for block in blocks if address in ipaddress.ip_network(block["cidr"])]
    return "to" not in rule or any(
        not any(address in ipaddress.ip_network(out) for out in block.get("except", [])) for block in inside
    )


def monitoring(values, release, _):
    """A scraper finds each replica once, as one cluster; rules and board are the repository's."""
    wanted = values.get("monitoring", {})
    for monitor in release.all("ServiceMonitor"):
        labels = monitor["spec"]["selector"]["matchLabels"]
        found = [service for service in release.all("Service") if labels.items() <= service["metadata"]["labels"].items()]
        ports = [port["name"] for service in found for port in service["spec"]["ports"]]
        if len(found) != 1 or [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]] != ports:
            yield f"it scrapes {[service['metadata']['name'] for service in found]}"
        relabelings = monitor["spec"]["endpoints"][0]["relabelings"]
        job = [entry["replacement"] for entry in relabelings if entry["targetLabel"] == "job"]
        if job != [f"weir/{monitor['metadata']['namespace']}/{labels['app.kubernetes.io/instance']}"]:
            yield f"the job is {job}, and rules know Weir's by its name"
    if len(release.all("ServiceMonitor")) != bool(wanted.get("serviceMonitor", {}).get("enabled")):
        yield "there is a ServiceMonitor though none was asked for, or the other way round"
    groups = [group for found in release.all("PrometheusRule") for group in found["spec"]["groups"]]
    originals = [group for name in ("alerts", "recording") for group in rules(name)]
    if groups != (originals if wanted.get("rules", {}).get("enabled") else []):
        yield "the rules are not those of deploy/prometheus"
    boards = [found for found in release.all("ConfigMap") if "weir.json" in found["data"]]
    if wanted.get("dashboard", {}).get("enabled"):
        board = json.loads((DEPLOY / copies.ORIGINALS["files/dashboards/weir.json"]).read_text())
        if [json.loads(found["data"]["weir.json"]) for found in boards] != [board]:
            yield "the board is not that of deploy/grafana"
    elif boards:
        yield "there is a board though none was asked for"


def rules(name):
    """The groups of a file of the repository."""
    return yaml.safe_load((DEPLOY / "prometheus" / "rules" / f"{name}.yml").read_text())["groups"]


def whole(values, release, _):
    """Each object is there once, in the release's namespace, with its labels; the file is the one that was given."""
    names = [(found["kind"], found["metadata"]["name"]) for found in release.objects]
    if len(set(names)) != len(names):
        yield "two objects have one name"
    for found in release.objects:
        labels = found["metadata"].get("labels", {})
        wanted = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart", *values.get("commonLabels", {})}
        if found["metadata"].get("namespace") != "ai" or not wanted <= labels.keys():
            yield f"{found['kind']} {found['metadata']['name']} has another namespace, or lacks labels"
    for kind, labels, _spec in release.templates():
        if not values.get("commonLabels", {}).items() <= labels.items():
            yield f"{kind}: its pods lack labels"
    if f": {release.deployment()['spec']['template']['spec']['containers'][0]['image']}\n" not in release.notes:
        yield "the notes tell of another image"
    if release.toml().rstrip("\n") != values["config"].rstrip("\n"):
        yield "weir.toml is not what was given"


def identities(chart):
    """Where the metadata server is wanted, a policy lets a pod ask it, and the agents that stand in for it."""
    values = over(chart.sets()["production"], {"networkPolicy": {"egress": {"metadata": {"enabled": True}}}})
    policy = chart.render(values).one("NetworkPolicy", "weir")
    for agent in METADATA:
        if not any(reaches(rule, agent, 80) for rule in policy["spec"]["egress"]):
            yield f"{agent} is out of reach, though it is wanted"


def noted(chart):
    """The notes name what is at a port that no rule of the policy lets through, and nothing else."""
    sets = chart.sets()
    for base, change, wanted in NOTED:
        notes = chart.render(*changed(sets[base], change)).notes
        said = re.findall(r"(?m)^NOTE: (.*), which no rule of the network policy lets through: (.*)\.$", notes)
        if said != wanted:
            yield f"{base} with {change}: the notes tell of {said}"


def selectors(chart):
    """A selector cannot be changed, so no value may change it."""
    releases = {name: chart.render(values) for name, values in chart.sets().items()}
    seen = {name: release.deployment()["spec"]["selector"] for name, release in releases.items()}
    if len({json.dumps(selector, sort_keys=True) for selector in seen.values()}) != 1:
        yield f"they differ: {seen}"
    for name, release in releases.items():
        for found in release.all("StatefulSet"):
            if set(found["spec"]["selector"]["matchLabels"]) != {"app.kubernetes.io/name", "app.kubernetes.io/instance"}:
                yield f"{name}: Redis' is not the two labels that do not change"


def rolled(chart):
    """Which changes of the configuration end pods? By `needed` what only a restart changes, and nothing else."""
    values = chart.sets()["redis-trial"]

    def pods(**more):
        return chart.render(over(values, more)).deployment()["spec"]["template"]

    text = values["config"]
    reloaded = text.replace("rpm = 500", "rpm = 600")
    outage = text.replace("[state]", '[state]\non_outage = "closed"')
    restarted = text.replace("expected_replicas = 2", "expected_replicas = 3")
    if pods() != pods(config=reloaded) or pods() != pods(config=outage):
        yield "pods are replaced for what a reload takes up"
    if pods() == pods(config=restarted):
        yield "pods go on with what only a restart changes"
    # (Both together are as long as before, so nothing else of the pod tells of it.)
    drained = text.replace('"2s"', '"3s"').replace('"1m 30s"', '"1m 29s"')
    if pods() == pods(config=drained):
        yield "pods go on with what only a restart changes of how they end"
    if pods(restartOnConfigChange="never") != pods(restartOnConfigChange="never", config=restarted):
        yield "pods are replaced though they never should be"
    if pods(restartOnConfigChange="always") == pods(restartOnConfigChange="always", config=reloaded):
        yield "pods are not replaced though they always should be"
    if "helm.sh/chart" in pods()["metadata"]["labels"]:
        yield "a new version of the chart replaces pods for a label"


def named(chart):
    """Names fit, whatever the release is called; and rules know the job of any."""
    values = over(chart.sets()["production"], {"fullnameOverride": ""})
    for name in ("g" * 53, "gateway", f"{'w' * 45}-weir"):
        for found in chart.render(values, name).objects:
            if len(found["metadata"]["name"]) > 63 or found["metadata"]["name"].endswith("-"):
                yield f"{found['kind']} {found['metadata']['name']} is no name"
        if "weir" not in chart.render(values, name).deployment()["metadata"]["name"] and len(name) < 50:
            yield f"a release {name} does not say what it is"
