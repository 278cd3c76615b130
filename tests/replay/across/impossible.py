"""What cannot be kept, with a reason each. `gateway/DIALECTS.md` says what is written instead."""
import json

from across.streams import Torn

# What no reader here asks for, or a recording cannot be played for, and where DIALECTS.md says so.
SAID = {
    "answers behind the first": "| `created`, further choices | left out |",
    "the provider's own tools, which it runs itself": "| tools that another provider runs, and their calls;",
    "media in an answer, for clients of Messages": "| images and sound that a model answers with | words in a",
    "responses made in the background": "`background: true` are refused",
}


def unfit(one):
    """Why a recording is no answer that could be told in another dialect; None if it is."""
    if one.dialect == "responses" and not one.stream:
        answer = json.loads(one.body)
        if "output" not in answer:
            return "recorded under Responses, but no answer of Responses"
        if answer.get("status") == "queued":
            return "made in the background: other dialects have no word for it, such requests are refused"
    try:
        if not one.fails:
            _ = one.means
    except Torn as err:
        return f"its own events do not go together: {err}"
    return None


def without_media(text, client):
    """The text without the words in which Messages must say that the model answered with media."""
    mark = "(The model answered with media"
    return text[: text.index(mark)] if client == "messages" and mark in text else text


def has_media(one):
    """Did the model answer with media?"""
    return b"inlineData" in one.body
