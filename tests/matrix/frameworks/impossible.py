"""What a framework cannot do, with the reason. An aspect that stands here and holds is a failure, too: the table must
not outlive what it tells."""

CHAT = ("langchain-chat", "agents-chat", "pydantic-chat")
LOOP = ("loop",)

# clients, kinds, scenarios, aspects, reason
TABLE = (
    (
        ("langchain-chat", "agents-chat"),
        ("responses",),
        LOOP,
        ("asks.signatures",),
        "over Chat they keep no thought of an answer, so none can go back to the model",
    ),
    (
        ("pydantic-chat",),
        ("responses",),
        LOOP,
        ("asks.signatures",),
        "over Chat it gives a thought back as mere text, without the `reasoning_details` that hold its encryption",
    ),
    (
        CHAT,
        ("anthropic", "bedrock"),
        LOOP,
        ("asks.signatures", "asks.reasons"),
        "over Chat they keep no signed thought, without which Claude refuses to think on: thinking is left out",
    ),
    (
        ("langchain-chat", "pydantic-chat"),
        ("gemini", "vertex"),
        LOOP,
        ("asks.signatures",),
        "over Chat they do not keep `extra_content`, in which Google has its signatures",
    ),
    (
        ("agents-chat",),
        ("vertex",),
        LOOP,
        ("asks.signatures",),
        "it gives `extra_content` back only to a model whose name has `gemini` in it, which this one's has not",
    ),
    (
        ("pydantic-anthropic",),
        ("gemini", "vertex"),
        LOOP,
        ("asks.turns",),
        "Google signs calls and no thoughts, and it sends a thought without signature back as text",
    ),
)


def aspects(client, kind, scenario):
    """The aspects of a cell that are impossible, with their reasons."""
    found = {}
    for clients, kinds, scenarios, names, reason in TABLE:
        if client in clients and kind in kinds and scenario in scenarios:
            found |= dict.fromkeys(names, reason)
    return found


def sorted_out(failures, skipped):
    """The failures that are none of the impossible, and the impossible that held."""
    failed = {text.partition(":")[0] for text in failures}
    found = [text for text in failures if text.partition(":")[0] not in skipped]
    held = [aspect for aspect in skipped if aspect not in failed]
    return found + [f"{aspect}: holds, though it is said to be impossible" for aspect in held]
