"""The chart, and what it makes of values."""

from pathlib import Path

import helm_python
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
DEPLOY = REPOSITORY / "deploy"
CHART = DEPLOY / "helm" / "weir"
NAMESPACE = "ai"


class Strict(yaml.CSafeLoader):
    """YAML as an API server reads it strictly: a key that stands twice is a mistake."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        if twice := {str(key) for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"{', '.join(sorted(twice))} stands twice {node.start_mark}")
        return super().construct_mapping(node, deep)


class Chart:
    """One that is loaded from a folder or an archive."""

    def __init__(self, path):
        self.path = path
        self.helm = helm_python.Chart.load(path)

    def sets(self):
        """The sets of values in ci/, by name."""
        return {path.name.removesuffix("-values.yaml"): read(path) for path in sorted((CHART / "ci").glob("*.yaml"))}

    def render(self, values, name="weir"):
        """What Helm makes of them, as a release of that name: refused values raise."""
        self.helm.validate_schema(values)
        return Release(self.helm.render(values, name=name, namespace=NAMESPACE))

    def lint(self, values, kubernetes):
        """What `helm lint --strict` complains of."""
        report = helm_python.lint(self.path, values, strict=True, kube_version=f"v{kubernetes}.0")
        found = [f"{message['path']}: {message['error']}" for message in report["messages"] if message["severity"] >= 2]
        return found + report["errors"]


class Release:
    """The objects that were rendered."""

    def __init__(self, texts):
        self.notes = next(text for path, text in texts.items() if path.endswith("NOTES.txt"))
        self.objects = []
        for path, text in texts.items():
            if path.endswith(".yaml"):
                self.objects += [found for found in yaml.load_all(text, Loader=Strict) if found]  # noqa: S506 (it is a safe one)

    def all(self, kind):
        """Those of a kind."""
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind, name):
        """The one of a kind and a name; None if there is none."""
        return next((found for found in self.all(kind) if found["metadata"]["name"] == name), None)

    def deployment(self):
        """Weir itself."""
        return self.all("Deployment")[0]

    def templates(self):
        """Yields (kind, labels, spec) of every pod that there will be."""
        for found in self.objects:
            if found["kind"] in ("Deployment", "StatefulSet"):
                template = found["spec"]["template"]
                yield found["kind"], template["metadata"]["labels"], template["spec"]
            elif found["kind"] == "Pod":
                yield "Pod", found["metadata"]["labels"], found["spec"]

    def toml(self):
        """The text of weir.toml."""
        volumes = self.deployment()["spec"]["template"]["spec"]["volumes"]
        name = next(volume["configMap"]["name"] for volume in volumes if volume["name"] == "config")
        return self.one("ConfigMap", name)["data"]["weir.toml"]


def read(path):
    """A file of YAML."""
    return yaml.load(path.read_text(), Loader=Strict)  # noqa: S506 (it is a safe one)


def over(values, more):
    """Values with others laid over them, as Helm does with a second file."""
    both = dict(values)
    for key, value in more.items():
        both[key] = over(both.get(key, {}), value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both
