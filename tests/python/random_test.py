"""Random shapes, dtypes, heads and lengths of every layout: the same bits as the command's,
which other tests compare with the float64 reference.
"""

import unittest

import torch
from cases import BOUND, DTYPES, GRADIENT_BOUND, INPUTS, command, distance, seeded

from nysjit import Spec
from nysjit.torch import attention

SPECS = (
    Spec(layout="exact_causal", head_dim=32),
    Spec(layout="causal", head_dim=32, landmarks=8, segment_len=16),
    Spec(layout="causal", head_dim=32, segment_len=16, landmark_source="learned", probes=3,
         landmark_spacing="dyadic", conv_kernel=3),
    Spec(layout="bidirectional", head_dim=32, landmarks=8, segment_len=16),
    Spec(layout="segment_causal", head_dim=32, landmarks=8, segment_len=16),
    Spec(layout="prefix_lm", head_dim=32, landmarks=8, segment_len=16),
    Spec(layout="scan", head_dim=32, landmarks=4, landmark_source="learned"),
)  # fmt: skip


def draw(spec, dice, kind):
    """{name: tensor} for attention, float32, with strides of any kind."""
    batch, rows = dice.randint(1, 3), dice.randint(1, 120)
    key_heads = dice.randint(1, 2)
    heads, size = key_heads * dice.randint(1, 2), 32
    counts = {"q": heads, "k": key_heads, "v": key_heads}
    tensors = {}
    for name, count in counts.items():
        if kind == "packed":
            tensors[name] = torch.randn(rows, count, size)
        elif dice.random() < 0.5:
            tensors[name] = torch.randn(batch, count, rows, size)
        else:
            tensors[name] = torch.randn(batch, rows, count, 2 * size)[..., :size].transpose(1, 2)
    if spec.get("probes"):
        tensors["landmark_q"] = torch.randn(heads, spec.get("probes"), size)
    if spec.get("layout") == "scan":
        tensors["landmark_q"] = torch.randn(heads, 4, size)
        tensors["landmark_k"] = torch.randn(key_heads, 4, size)
    if spec.get("conv_kernel"):
        tensors["conv"] = torch.randn(heads, spec.get("conv_kernel"))
    lengths = [rows] * batch
    if kind == "packed":
        ends = sorted(dice.randint(0, rows) for _ in range(batch - 1))
        tensors["cu_seqlens"] = torch.tensor([0, *ends, rows], dtype=torch.int32)
        lengths = tensors["cu_seqlens"].diff().tolist()
    if kind == "padded":
        lengths = [dice.randint(0, rows) for _ in range(batch)]
        starts = [dice.randint(0, rows - length) for length in lengths]
        tensors["seqlens"] = torch.tensor(lengths, dtype=torch.int32)
        tensors["seq_starts"] = torch.tensor(starts, dtype=torch.int32)
    if spec.get("layout") == "prefix_lm":
        sources = [dice.randint(0, length) for length in lengths]
        tensors["source_len"] = torch.tensor(sources, dtype=torch.int32)
    return tensors


class Random(unittest.TestCase):
    def compare(self, spec, dice, kind, dtype):
        """Outputs and gradients, each beside the command's on the same numbers."""
        tensors = {
            name: tensor.to(DTYPES[dtype]) if tensor.is_floating_point() else tensor
            for name, tensor in draw(spec, dice, kind).items()
        }
        spec = spec.replace(dtype=dtype)
        given = {name: tensor.requires_grad_(name in INPUTS) for name, tensor in tensors.items()}
        o = attention(**given, spec=spec)
        dout = torch.randn(o.shape).to(o.dtype)
        o.backward(dout)
        right = command(spec, tensors, dout)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for name, expected in right.items():
            found = o.detach() if name == "o" else given[name[1:]].grad
            bound = (BOUND if name == "o" else GRADIENT_BOUND)[dtype]
            if dtype == "float32":
                self.assertTrue(torch.equal(found, expected), f"{name} of {spec}, {shapes}")
            else:
                self.assertLessEqual(distance(found, expected), bound, f"{name} of {spec}")

    def test_as_the_command_says(self):
        dice = seeded(self.id())
        for spec in SPECS:
            for kind in ("dense", "padded", "packed"):
                for _ in range(2):
                    with self.subTest(spec=str(spec), kind=kind):
                        self.compare(spec, dice, kind, "float32")

    def test_as_the_command_says_in_16_bits(self):
        dice = seeded(self.id())
        for i, spec in enumerate(SPECS[:3]):
            for kind in ("dense", "packed"):
                with self.subTest(spec=str(spec), kind=kind):
                    self.compare(spec, dice, kind, ("bfloat16", "float16")[i % 2])

    def test_without_gradients_the_same_bits(self):
        dice = seeded(self.id())
        for kind in ("dense", "padded", "packed"):
            tensors = draw(SPECS[1], dice, kind)
            tensors["q"].requires_grad_()
            o = attention(**tensors, spec=SPECS[1])
            with torch.no_grad():
                self.assertTrue(torch.equal(attention(**tensors, spec=SPECS[1]), o.detach()), kind)


if __name__ == "__main__":
    unittest.main()
