"""The tiny model's files: `python files.py FOLDER` writes its numbers for numpy, and a GGUF of them for llama.cpp."""

import sys
from pathlib import Path

import gguf
import numpy as np
import qwen3

SEED = 38
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(file, tensors):
    """As llama.cpp reads it."""
    writer = gguf.GGUFWriter(file, "qwen3")
    writer.add_context_length(2048)
    writer.add_embedding_length(qwen3.HIDDEN)
    writer.add_feed_forward_length(qwen3.INNER)
    writer.add_block_count(qwen3.LAYERS)
    writer.add_head_count(qwen3.HEADS)
    writer.add_head_count_kv(qwen3.KV_HEADS)
    writer.add_key_length(qwen3.HEAD)
    writer.add_value_length(qwen3.HEAD)
    writer.add_rope_freq_base(qwen3.THETA)
    writer.add_layer_norm_rms_eps(qwen3.EPSILON)
    tokens = qwen3.vocabulary()
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*qwen3.SPECIAL, *(qwen3.visible(token) for token in tokens[len(qwen3.SPECIAL) :])])
    writer.add_token_types([control if at < len(qwen3.SPECIAL) else normal for at in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in qwen3.MERGES])
    writer.add_eos_token_id(qwen3.SPECIAL.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(qwen3.CHAT_TEMPLATE)
    for name, tensor in tensors.items():
        writer.add_tensor(_named(name.removesuffix(".weight")), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _named(name):
    if name.startswith("model.layers."):
        layer, _, part = name.removeprefix("model.layers.").partition(".")
        return f"blk.{layer}.{NAMES[part]}.weight"
    return f"{NAMES[name]}.weight"


def main(folder):
    tensors = qwen3.weights(SEED)
    np.savez(folder / "tiny.npz", **tensors)
    write_gguf(folder / "tiny.gguf", tensors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
