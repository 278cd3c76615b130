"""Writes a small language model with random weights as a GGUF file that llama.cpp loads: `python model.py FILE`.

What it says means nothing, but everything around it is real: tokens, templates, grammars, slots, streams, usage. Its
weights are drawn from a fixed seed. One thing is arranged: only printable ASCII is ever likely, so that greedy answers
are text, and last as long as they are allowed to.
"""
import sys

import numpy
from gguf import GGUFWriter, LlamaFileType, TokenType

WIDTH, LAYERS, HEADS, HIDDEN = 128, 4, 4, 256
CONTEXT = 32_768
SEED = 20_250
CONTROL = ["<|end|>", "<|turn|>"]
# As many checkpoints have it: every turn between marks, then the assistant's mark.
TEMPLATE = (
    "{% for message in messages %}<|turn|>{{ message.role }}: {{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)


def visible(byte):
    """The character that stands for a byte in a byte-level vocabulary: itself if it can be seen, else one above 255."""
    hidden = [b for b in range(256) if not is_visible(b)]
    return chr(byte) if is_visible(byte) else chr(256 + hidden.index(byte))


def is_visible(byte):
    """Latin-1 characters that print and are no blank."""
    return 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF


def vocabulary():
    """(tokens, merges): the 256 bytes, a few words that grow letter by letter, and the marks."""
    tokens, merges = [visible(byte) for byte in range(256)], []
    for word in ("the", "and", "weir"):
        grown = word[0]
        for letter in word[1:]:
            merges.append(f"{grown} {letter}")
            grown += letter
            tokens.append(grown)
    return tokens + CONTROL, merges


def write(path):
    """The whole file."""
    tokens, merges = vocabulary()
    out = GGUFWriter(path, "llama")
    describe(out, tokens, merges)
    for name, values in weights(tokens):
        out.add_tensor(name, values.astype(numpy.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def describe(out, tokens, merges):
    """What stands before the weights."""
    out.add_name("random")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(HIDDEN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(tokens))
    out.add_file_type(LlamaFileType.ALL_F32)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types([TokenType.CONTROL if token in CONTROL else TokenType.NORMAL for token in tokens])
    out.add_token_merges(merges)
    out.add_bos_token_id(tokens.index("<|end|>"))
    out.add_eos_token_id(tokens.index("<|end|>"))
    out.add_add_bos_token(False)
    out.add_chat_template(TEMPLATE)


def weights(tokens):
    """(name, values) of every tensor."""
    draw = numpy.random.default_rng(SEED)

    def random(*shape, scale=0.1):
        return draw.standard_normal(shape) * scale

    yield "token_embd.weight", random(len(tokens), WIDTH, scale=1.0)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", numpy.ones(WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}.weight", random(WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{layer}.{name}.weight", random(HIDDEN, WIDTH)
        yield f"blk.{layer}.ffn_down.weight", random(WIDTH, HIDDEN)
    yield "output_norm.weight", numpy.ones(WIDTH)
    printable = [32 <= ord(token) < 127 if len(token) == 1 else token not in CONTROL for token in tokens]
    printable[tokens.index(visible(0x20))] = True
    # A row of zeros: its logit is 0, and among a hundred random ones the greatest is above that.
    yield "output.weight", random(len(tokens), WIDTH, scale=0.3) * numpy.array(printable)[:, None]


if __name__ == "__main__":
    write(sys.argv[1])
