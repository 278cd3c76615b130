"""Golden files: what each cell asked and heard, but for ids, times and long data; one file for a client and a kind."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "golden"
IDS = {
    "id",
    "call_id",
    "tool_call_id",
    "item_id",
    "toolUseId",
    "tool_use_id",
    "responseId",
    "response_id",
    "request_id",
}
TIMES = {"created", "created_at", "completed_at", "create_time"}
SAME = "as when it is not streamed"
LONG = 400  # characters of a text, then only its beginning stands there
DATA = re.compile(r"[A-Za-z0-9+/=_-]{60,}")
REQUEST_ID = re.compile(r"(?i)\b(req|request)[-_][\w-]+")


def masked(value, ids, name=None):
    """A value without what changes from run to run; ids become numbers, so that pairs stay visible."""
    if isinstance(value, dict):
        return {key: masked(one, ids, key) for key, one in value.items()}
    if isinstance(value, list):
        return [masked(one, ids, name) for one in value]
    if name in IDS and isinstance(value, str):
        return f"<id {ids.setdefault(value, len(ids) + 1)}>"
    if name in TIMES and value:
        return "<time>"
    if isinstance(value, str):
        value = REQUEST_ID.sub("<request>", DATA.sub(lambda found: f"<{len(found[0])} letters>", value))
        return value if len(value) <= LONG else f"{value[:40]}... <{len(value)} characters>"
    return value


def record(requests, heard):
    """One cell, as it stands in a golden file."""
    ids = {}
    asked = [{"path": one.path, "query": one.query, "body": one.body} for one in requests]
    kept = {name: value for name, value in heard.items() if value}
    if isinstance(heard["raw"], dict):
        kept = {"raw": heard["raw"]}  # all of the others come from it
    return masked({"requests": asked, "heard": kept}, ids)


def bodies(requests):
    """What requests ask, apart from being answered as a stream."""
    return [
        {name: value for name, value in one["body"].items() if name not in ("stream", "stream_options")}
        for one in requests
    ]


class Golden:
    """The golden files, compared with or written anew."""

    def __init__(self, bless):
        self.bless, self.files, self.changed = bless, {}, set()

    def file(self, client, kind):
        """The cells of one file."""
        path = FOLDER / f"{client}-{kind}.json"
        if path not in self.files:
            self.files[path] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return path, self.files[path]

    def compare(self, client, kind, cell, requests, heard):
        """What differs from the file; when blessing, nothing does."""
        path, cells = self.file(client, kind)
        new = json.loads(json.dumps(record(requests, heard)))
        whole = cells.get(cell.removesuffix(".stream"), {}).get("requests")
        if cell.endswith(".stream") and whole and bodies(whole) == bodies(new["requests"]):
            new["requests"] = SAME
        if self.bless:
            cells[cell] = new
            self.changed.add(path)
            return []
        if cell not in cells:
            return [f"golden: {path.name} has no {cell} (--bless writes it)"]
        return [f"golden: {text}" for text in differences(cells[cell], new, "")[:3]]

    def write(self):
        """Writes what was blessed: a line for each cell."""
        FOLDER.mkdir(exist_ok=True)
        for path in self.changed:
            rows = [
                f"{json.dumps(cell)}: {json.dumps(one, ensure_ascii=False)}"
                for cell, one in sorted(self.files[path].items())
            ]
            path.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


def differences(old, new, path):
    """Where two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(name for name in new if name not in old)]
        return [text for name in names for text in differences(old.get(name), new.get(name), f"{path}.{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            text for at, pair in enumerate(zip(old, new, strict=True)) for text in differences(*pair, f"{path}[{at}]")
        ]
    return [] if old == new else [f"{path}: was {json.dumps(old)[:200]}, is {json.dumps(new)[:200]}"]
