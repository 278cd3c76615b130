"""Is what Helm renders what Kubernetes takes? By its schemas, strictly: a field that they do not know is a mistake."""

import functools
import json
import re

import jsonschema
import kubernetes_validate.utils
from chart import CHART, REPOSITORY, read
from referencing import Registry, Resource

SCHEMAS = REPOSITORY / "tests" / "deploy" / "schemas"


def versions():
    """The oldest Kubernetes that the chart is for, and the newest that there are schemas of."""
    oldest = read(CHART / "Chart.yaml")["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    known = [version.rsplit(".", 1)[0] for version in kubernetes_validate.utils.all_versions()]
    if oldest not in known:
        raise SystemExit(f"there is no schema of Kubernetes {oldest}, which is the oldest that the chart is for")
    return [oldest, known[-1]]


def faults(chart, only=None):
    """Yields what Helm's linter and the schemas say of every set of values, or of one."""
    for name, values in chart.sets().items():
        if only not in (None, name):
            continue
        for version in versions():
            for said in chart.lint(values, version):
                yield f"{name}, Kubernetes {version}: {said}"
        for fault in invalid(chart.render(values)):
            yield f"{name}: {fault}"


def invalid(release):
    """Yields what the schemas say of a release."""
    for found in release.objects:
        what = f"{found['kind']} {found['metadata']['name']}"
        if found["apiVersion"].startswith("monitoring.coreos.com/"):
            for error in custom(found["kind"]).iter_errors(found):
                yield f"{what}: {'.'.join(map(str, error.path))}: {error.message[:300]}"
            continue
        for version in versions():
            for error in known(found["kind"], found["apiVersion"], version).iter_errors(found):
                yield f"{what}, Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message[:300]}"


@functools.cache
def known(kind, api, version):
    """What kubernetes-validate would ask, kept: it reads megabytes for each object anew."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)
    schema = kubernetes_validate.utils.schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    return jsonschema.Draft202012Validator(schema, registry=definitions(folder, version))


@functools.cache
def definitions(folder, version):
    """What the schemas of a version refer to."""
    contents = kubernetes_validate.utils.schema_contents(f"{folder}/_definitions.json", version)
    return Resource.from_contents(contents) @ Registry()


@functools.cache
def custom(kind):
    """The schema of one of the operator's kinds."""
    schema = json.loads((SCHEMAS / f"{kind.lower()}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
