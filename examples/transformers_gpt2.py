"""A GPT-2 of transformers with nysjit's attention: trained from a config on this repository's own
pages, for a minute, then asked to go on with one.

usage: transformers_gpt2.py [--steps N] [--attention NAME]

NAME: nysjit, which is `causal` here, or transformers' own sdpa, to compare with. It needs PyTorch,
transformers and nysjit's Python package (docs/transformers.md); nothing is downloaded.
"""

import argparse
import pathlib
import time

import torch
from transformers import AutoModelForCausalLM, GPT2Config

import nysjit.transformers

ROWS, BATCH = 256, 4
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--attention", choices=("nysjit", "sdpa"), default="nysjit")
    options = parser.parse_args()

    # The two lines that make the difference: a name for a spec, and its use.
    nysjit.transformers.register("nysjit", layout="causal", segment_len=32)
    config = GPT2Config(
        vocab_size=256, n_positions=1024, n_embd=128, n_layer=2, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
        loss_type="ForCausalLM",
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=options.attention)

    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    pages = torch.frombuffer(
        bytearray(b"".join(map(pathlib.Path.read_bytes, files))), dtype=torch.uint8
    )
    pages = pages.long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=options.steps)
    start = time.perf_counter()
    for step in range(options.steps):
        starts = torch.randint(len(pages) - ROWS, (BATCH,)).tolist()
        text = torch.stack([pages[first : first + ROWS] for first in starts])
        loss = model(input_ids=text, labels=text, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, options.steps // 5) == 0 or step == options.steps - 1:
            print(f"step {step:4}  loss {loss.item():.3f}", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")

    beginning = torch.tensor([list(b"A spec ")])
    cache = nysjit.transformers.Cache()  # keeps queries, too; no other will do
    written = model.eval().generate(
        beginning, attention_mask=torch.ones_like(beginning), max_new_tokens=120, do_sample=True,
        temperature=0.7, pad_token_id=0, cache=cache,
    )  # fmt: skip
    print(bytes(written[0].tolist()).decode(errors="replace"))


if __name__ == "__main__":
    main()
