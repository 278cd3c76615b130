"""Was a request signed with AWS Signature Version 4 by the key that we gave away?"""

import hashlib
import hmac
import re
from urllib.parse import quote

CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


def problem(method, path, headers, body, key, secret):
    """Why the signature is no good, or None. `path` as it stood on the wire, without a query; `headers` lower-case."""
    found = CREDENTIAL.fullmatch(headers.get("authorization", ""))
    if not found:
        return "no AWS4-HMAC-SHA256 authorization"
    if found["key"] != key:
        return f"unknown access key {found['key']}"
    if found["service"] != "bedrock":
        return f"signed for the service {found['service']}"
    signed = found["signed"].split(";")
    if missing := {"host", "x-amz-date"} - set(signed):
        return f"not signed: {sorted(missing)}"
    canonical = [method, quote(path, safe="/~-_."), ""]
    canonical += [f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed]
    canonical += ["", found["signed"], hashlib.sha256(body).hexdigest()]
    scope = f"{found['day']}/{found['region']}/{found['service']}/aws4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    step = f"AWS4{secret}".encode()
    for part in (found["day"], found["region"], found["service"], "aws4_request"):
        step = mac(step, part)
    wanted = hmac.new(step, text.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(wanted, found["signature"]) else "the signature does not match"


def mac(key, text):
    """One step of the key's derivation."""
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
