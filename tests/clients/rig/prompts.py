"""What the scripted provider says on the legacy `/completions`: an echo of each prompt, in each of its `n` choices."""
from . import answers


def completion(request):
    """The body of a plain answer."""
    choices = [choice(index, text, "stop") for index, text in enumerate(texts(request))]
    return {**common(request), "choices": choices, "usage": usage(request)}


def chunks(request):
    """The events of a streamed answer; the usage event comes last and only when it was asked for."""
    wants_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    blank = {"usage": None} if wants_usage else {}
    for index, text in enumerate(texts(request)):
        for number, word in enumerate(text.split(" ")):
            said = choice(index, word if number == 0 else " " + word, None)
            yield {**common(request), "choices": [said], **blank}
        yield {**common(request), "choices": [choice(index, "", "stop")], **blank}
    if wants_usage:
        yield {**common(request), "choices": [], "usage": usage(request)}


def beginning(request, words):
    """The events of a stream that has said so many words and nothing that ends it."""
    return [{**common(request), "choices": [choice(0, f"word{number} ", None)]} for number in range(words)]


def common(request):
    """Fields of every answer and event."""
    return {
        "id": "cmpl-scripted",
        "object": "text_completion",
        "created": answers.CREATED,
        "model": request["model"],
        "system_fingerprint": "fp_scripted",
    }


def choice(index, text, reason):
    """One choice, or a piece of it."""
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def texts(request):
    """What every choice says."""
    prompts = request["prompt"] if isinstance(request["prompt"], list) else [request["prompt"]]
    each = range(request.get("n") or 1)
    return [f"choice {place * len(each) + n} echoes: {prompt}" for place, prompt in enumerate(prompts) for n in each]


def usage(request):
    """Deterministic: 17 input tokens, one output token per word."""
    words = sum(len(text.split()) for text in texts(request))
    return {"prompt_tokens": 17, "completion_tokens": words, "total_tokens": 17 + words}
