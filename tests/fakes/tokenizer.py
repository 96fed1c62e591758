"""Real tokenizer files, small: byte-level BPE trained on a few sentences, as the library itself makes them."""

from __future__ import annotations

import functools
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls %}{{ call.function | tojson }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if tools %}{{ tools | tojson }}{% endif %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template for it."""
_MARKS = ["<|im_start|>", "<|im_end|>", "<s>"]
_TEXTS = [
    "What is two plus two? Two plus two is four.",
    "Be brief. The quick brown fox jumps over the lazy dog.",
]


@functools.cache
def _trained(size: int) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=_MARKS, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS * 20, trainer)
    return tokenizer.to_str()


def make_tokenizer(size: int = 320, *, begins: bool = False, cut_to: int = 0) -> Tokenizer:
    """A tokenizer; one that `begins` puts <s> ahead of a text, one with `cut_to` cuts and fills up what it is given."""
    tokenizer = Tokenizer.from_str(_trained(size))
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    if cut_to:
        tokenizer.add_special_tokens([AddedToken("<pad>")])
        tokenizer.enable_truncation(cut_to)
        tokenizer.enable_padding(length=cut_to, pad_token="<pad>")
    return tokenizer


def save(tokenizer: Tokenizer, path: Path) -> Path:
    """Replace the file in one step."""
    fresh = path.with_suffix(".new")
    tokenizer.save(str(fresh))
    return fresh.replace(path)


def counted(text: str, *, special: bool = False, size: int = 320, begins: bool = False) -> int:
    """What the library says of a text, on the plain way that nothing of ours takes."""
    return len(make_tokenizer(size, begins=begins).encode(text, add_special_tokens=special).ids)
