"""Each check must fail on a chart that is broken for it: of every row of mutations.py a copy of the chart is made in which one thing is
other, and the checks must say so in the row's words. A check that nothing breaks is not in the way of anything."""

import re
import shutil
import tempfile
from pathlib import Path

import copies
import helm_python
import mutations
import refused
import rendered
import valid
import yaml
from chart import CHART, Chart


def faults():
    """Yields what was broken and not noticed, and checks that no row breaks."""
    heard = []
    with tempfile.TemporaryDirectory(prefix="weir-helm-") as folder:
        for check, file, old, new, wanted in mutations.TABLE:
            path = Path(folder) / "weir"
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(CHART, path)
            text = (path / file).read_text()
            if old not in text:
                yield f"{file} has no {old!r}"
                continue
            (path / file).write_text(text.replace(old, new))
            try:
                said = list(until(wanted, noticed(check, path, wanted)))
            except (helm_python.HelmError, yaml.YAMLError) as error:
                yield f"{file}: with {new!r} it does not render: {error}"
                continue
            heard += [fault for fault in said if wanted in fault]
            if not any(wanted in fault for fault in said):
                yield f"{file}: with {new!r} in the place of {old!r} {check} does not say {wanted!r}: {said[:2]}"
    for words in re.findall(r'(?m)^ +yield f?"(.*)"$', Path(rendered.__file__).read_text()):
        form = ".*".join(map(re.escape, re.split(r"\{[^{}]*\}", words)))
        if not any(re.search(f"{form}$", fault) for fault in heard):
            yield f"nothing is broken for {words!r}"



def noticed(check, path, wanted):
    """Yields what one check says of a broken chart."""
    if check == "copies":
        return copies.faults(path)
    if check == "valid":
        return valid.faults(Chart(path), only="production")
    if check == "refused":
        return refused.faults(Chart(path), [row for row in refused.TABLE if wanted.startswith(f"{row[0]}: ")])
    return rendered.faults(Chart(path), only=check)


def until(wanted, said):
    """What is said up to what is waited for."""
    for fault in said:
        yield fault
        if wanted in fault:
            return
