"""A tiny Qwen3 with random weights, and its whole computation with numpy: one model that every engine can serve.

Random weights say nothing that makes sense, but at temperature 0 every right engine says the same, byte by byte, so
that what is lost, doubled or cut within a character shows. Triton and MLServer serve it by this file; llama.cpp and
vLLM have their own ways to compute it.
"""

import codecs
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# Longer than a byte each. No text is told in them, for they are nobody's merges; answers are.
PIECES = json.loads((HERE / "pieces.json").read_text())
# Files want some; nothing that tests ask has two spaces.
MERGES = [("Ġ", "Ġ")]
CHAT_TEMPLATE = (HERE / "chat_template.jinja").read_text()

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, HEAD = 128, 256, 2, 4, 2, 32
THETA, EPSILON = 10_000.0, 1e-6
# Small weights and tied embeddings would repeat one letter.
SPREAD = 0.3


def vocabulary():
    """Every token as its bytes: special ones, one for each byte, and pieces; a prompt is told in bytes."""
    return (
        [text.encode() for text in SPECIAL]
        + [bytes([value]) for value in range(256)]
        + [piece.encode() for piece in PIECES]
    )


def visible(token):
    """The bytes as GPT-2 writes them in its vocabularies: each as one character that can be seen.

    https://github.com/openai/gpt-2/blob/master/src/encoder.py, bytes_to_unicode.
    """
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    unseen = [value for value in range(256) if value not in seen]
    table = {value: chr(value) for value in seen} | {value: chr(256 + at) for at, value in enumerate(unseen)}
    return "".join(table[value] for value in token)


def weights(seed):
    """Name, as Hugging Face has them, -> matrix of 32-bit floats that 16 bits (bfloat16) hold without loss."""
    # The generator whose numbers are promised never to change.
    numbers = np.random.RandomState(seed)

    def matrix(*shape, around=0.0, spread=SPREAD):
        drawn = (around + spread * numbers.standard_normal(shape)).astype(np.float32)
        return (drawn.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

    def norm(size):
        return matrix(size, around=1.0, spread=0.1)

    size = len(vocabulary())
    found = {
        "model.embed_tokens.weight": matrix(size, HIDDEN),
        "lm_head.weight": matrix(size, HIDDEN),
        "model.norm.weight": norm(HIDDEN),
    }
    for layer in range(LAYERS):
        found |= {
            f"model.layers.{layer}.{name}.weight": tensor
            for name, tensor in {
                "input_layernorm": norm(HIDDEN),
                "self_attn.q_proj": matrix(HEADS * HEAD, HIDDEN),
                "self_attn.k_proj": matrix(KV_HEADS * HEAD, HIDDEN),
                "self_attn.v_proj": matrix(KV_HEADS * HEAD, HIDDEN),
                "self_attn.q_norm": norm(HEAD),
                "self_attn.k_norm": norm(HEAD),
                "self_attn.o_proj": matrix(HIDDEN, HEADS * HEAD),
                "post_attention_layernorm": norm(HIDDEN),
                "mlp.gate_proj": matrix(INNER, HIDDEN),
                "mlp.up_proj": matrix(INNER, HIDDEN),
                "mlp.down_proj": matrix(HIDDEN, INNER),
            }.items()
        }
    return found


class Model:
    """Computes answers, each token from scratch: slow, short, and plain to check."""

    def __init__(self, file):
        self._tensors = dict(np.load(file))
        self._tokens = vocabulary()

    def encode(self, prompt):
        """The tokens of a text: special ones by their names, all else byte by byte."""
        found = []
        while prompt:
            special = next((at for at, text in enumerate(SPECIAL) if prompt.startswith(text)), None)
            if special is None:
                found += [len(SPECIAL) + value for value in prompt[0].encode()]
                prompt = prompt[1:]
            else:
                found.append(special)
                prompt = prompt[len(SPECIAL[special]) :]
        return found

    def generate(self, prompt, limit):
        """Yields `limit` tokens' texts, each as far as its characters are whole; what is no UTF-8 becomes U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        tokens = self.encode(prompt)
        for left in reversed(range(limit)):
            tokens.append(int(np.argmax(self.logits(tokens))))
            yield decoder.decode(self._tokens[tokens[-1]], final=not left)

    def logits(self, tokens):
        """Those of what follows."""
        w = self._tensors
        x = w["model.embed_tokens.weight"][tokens]
        for layer in range(LAYERS):
            part = f"model.layers.{layer}."
            x = x + self._attention(_norm(x, w[f"{part}input_layernorm.weight"]), f"{part}self_attn.")
            h = _norm(x, w[f"{part}post_attention_layernorm.weight"])
            gate, up = h @ w[f"{part}mlp.gate_proj.weight"].T, h @ w[f"{part}mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{part}mlp.down_proj.weight"].T
        return _norm(x[-1], w["model.norm.weight"]) @ w["lm_head.weight"].T

    def _attention(self, h, part):
        w, length = self._tensors, len(h)

        def heads(name):
            return (h @ w[f"{part}{name}_proj.weight"].T).reshape(length, -1, HEAD).transpose(1, 0, 2)

        q = _turned(_norm(heads("q"), w[f"{part}q_norm.weight"]))
        k = _turned(_norm(heads("k"), w[f"{part}k_norm.weight"])).repeat(HEADS // KV_HEADS, axis=0)
        v = heads("v").repeat(HEADS // KV_HEADS, axis=0)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(np.float32(HEAD))
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return (shares @ v).transpose(1, 0, 2).reshape(length, -1) @ w[f"{part}o_proj.weight"].T


def _norm(x, weight):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(EPSILON)) * weight


def _turned(x):
    """Rotary positions: the halves of a head are turned as pairs."""
    half = HEAD // 2
    angles = np.outer(np.arange(x.shape[1]), THETA ** (-np.arange(half) / half))
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
