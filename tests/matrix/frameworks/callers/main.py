"""Takes a call on each line of the input, writes what was heard, a line for each. Runs on the frameworks' own pins."""

import asyncio
import json
import sys
import traceback
from pathlib import Path

# for `story`; behind all else, for other names there may be those of a framework's modules
sys.path.append(str(Path(__file__).resolve().parents[2]))

import by_agents  # noqa: E402
import by_instructor  # noqa: E402
import by_langchain  # noqa: E402
import by_pydantic_ai  # noqa: E402
import told  # noqa: E402

FRAMEWORKS = {
    "langchain": by_langchain,
    "agents": by_agents,
    "pydantic": by_pydantic_ai,
    "instructor": by_instructor,
}


async def serve(lines, out):
    """Every call, one after the other; all on one event loop, for clients keep their connections."""
    for line in lines:
        asked = json.loads(line)
        framework, _, dialect = asked["client"].partition("-")
        try:
            endpoint = (dialect, asked["url"], asked["key"])
            answer = await FRAMEWORKS[framework].ask(endpoint, asked["model"], asked["scenario"], asked["stream"])
        except Exception as err:  # whatever a framework raises over an answer is the finding
            where = traceback.extract_tb(err.__traceback__)[-1]
            answer = told.heard(error=" ".join(f"{type(err).__name__} at {where.name}: {err}".split()))
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    # what a framework prints must not be taken for an answer
    out, sys.stdout = sys.stdout, sys.stderr
    asyncio.run(serve(sys.stdin, out))
