"""The tiny model as Hugging Face has models, for vLLM: `python hugging_face.py FOLDER`, with vLLM's own packages.

FOLDER holds `tiny.npz`, which `files.py` writes.
"""

import sys
from pathlib import Path

import numpy as np
import qwen3
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM


def write_tokenizer(folder):
    tokens = qwen3.vocabulary()
    texts = [*qwen3.SPECIAL, *(qwen3.visible(token) for token in tokens[len(qwen3.SPECIAL) :])]
    tokenizer = Tokenizer(models.BPE({text: at for at, text in enumerate(texts)}, qwen3.MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(qwen3.SPECIAL)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=qwen3.CHAT_TEMPLATE,
    )
    wrapped.save_pretrained(folder)


def write_weights(folder):
    config = Qwen3Config(
        vocab_size=len(qwen3.vocabulary()),
        hidden_size=qwen3.HIDDEN,
        intermediate_size=qwen3.INNER,
        num_hidden_layers=qwen3.LAYERS,
        num_attention_heads=qwen3.HEADS,
        num_key_value_heads=qwen3.KV_HEADS,
        head_dim=qwen3.HEAD,
        max_position_embeddings=2048,
        rope_theta=qwen3.THETA,
        rms_norm_eps=qwen3.EPSILON,
        tie_word_embeddings=False,
        eos_token_id=qwen3.SPECIAL.index("<|im_end|>"),
        pad_token_id=qwen3.SPECIAL.index("<|endoftext|>"),
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    tensors = {name: torch.from_numpy(tensor) for name, tensor in np.load(folder / "tiny.npz").items()}
    model.load_state_dict(tensors)
    model.save_pretrained(folder)


if __name__ == "__main__":
    write_tokenizer(Path(sys.argv[1]))
    write_weights(Path(sys.argv[1]))
