"""Tiny models of transformers, made from configs, whose attention is nysjit's by name. A test that
imports this where there is no transformers ends as skipped.
"""

import sys

import torch

try:
    import transformers

    from nysjit.transformers import register
except ImportError as error:
    print(f"skipped: no transformers ({error})", flush=True)
    sys.exit(77)

SMALL = {"vocab_size": 61, "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
LLAMA = {**SMALL, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 256}  # fmt: skip
CONFIGS = {
    "gpt2": {**SMALL, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "llama": LLAMA,
    "mistral": {**LLAMA, "sliding_window": 200},
    "qwen2": LLAMA,
}
LEARNED = {"layout": "causal", "segment_len": 8, "landmark_source": "learned", "probes": 2}
# What a name stands for stays so: "causal" in all tests is the same.
register("exact", layout="exact_causal")
register("causal", layout="causal", segment_len=8)
register("dyadic", **LEARNED, landmark_spacing="dyadic")


def model_of(kind, attention, **options):
    """One with the same weights whatever its attention."""
    config = transformers.AutoConfig.for_model(kind, **{**CONFIGS[kind], **options})
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)  # so that attention is no mean of all
    return model.eval()


def ids_of(*shape):
    return torch.randint(1, 61, shape)


def logits(model, input_ids, **given):
    with torch.no_grad():
        return model(input_ids=input_ids, use_cache=False, **given).logits
