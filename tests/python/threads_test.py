"""Any number of threads: of PyTorch's pool, of the caller's, and in a child after a fork."""

import os
import pathlib
import unittest

import torch
from cases import at_once, qkv, seeded

from nysjit.torch import attention

KEYS = {"layout": "causal", "segment_len": 16}


def run(inputs):
    """The output and the gradients."""
    inputs = [tensor.detach().requires_grad_() for tensor in inputs]
    o = attention(*inputs, **KEYS)
    return [o.detach(), *torch.autograd.grad(o.square().sum(), inputs)]


def same(one, other):
    return all(torch.equal(*pair) for pair in zip(one, other))


class Threads(unittest.TestCase):
    def setUp(self):
        seeded(self.id())
        self.inputs = qkv(2, 4, 300, 32)
        count = torch.get_num_threads()
        self.addCleanup(torch.set_num_threads, count)

    def test_pytorchs_count_is_taken_and_changes_no_bit(self):
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(run(self.inputs))
        self.assertTrue(same(results[0], results[1]) and same(results[0], results[2]))

    def test_no_thread_is_ours(self):
        run(self.inputs)
        tasks = pathlib.Path("/proc/self/task").iterdir()
        names = [(task / "comm").read_text() for task in tasks]
        self.assertFalse([name for name in names if name.startswith("nysjit-")], names)

    def test_callers_run_side_by_side(self):
        right = run(self.inputs)
        for results in at_once(lambda: [run(self.inputs) for _ in range(10)]):
            for result in results:
                self.assertTrue(same(result, right))

    def test_first_calls_of_one_spec_at_once(self):
        # A spec that nothing has asked for yet in this process.
        def first():
            with torch.no_grad():
                return attention(*self.inputs, layout="causal", segment_len=24)

        right, *others = at_once(first)
        for result in others:
            self.assertTrue(torch.equal(result, right))

    def test_a_child_goes_on(self):
        # PyTorch's own pool does not survive a fork: the child has one thread, as DataLoader's do.
        right = run(self.inputs)
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            with torch.no_grad():
                found = attention(*self.inputs, **KEYS)
                other = attention(*self.inputs, layout="exact_causal")
            is_well = torch.equal(found, right[0]) and bool(other.isfinite().all())
            os._exit(0 if is_well else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


if __name__ == "__main__":
    unittest.main()
