"""Reads a bill of materials and says what CycloneDX's own schema has against it; run by the environment that has the schema."""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()):
    print(f"{error.data.json_path}: {error.data.message[:500]}")
