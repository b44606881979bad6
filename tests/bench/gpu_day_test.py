"""bench/gpu_day.sh, whole, on the PTX emulator: a folder is made ready, run in an environment that
has nothing, and breaks on purpose.

usage: gpu_day_test.py SOURCE_DIR BUILD_DIR
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
TARGET = "cuda:sm_90"
LAYOUTS = """causal exact_causal streaming causal_window_conv segment_causal bidirectional prefix_lm
scan_learned scan_first_k""".split()
STEPS = ["device", *(f"conformance {name}" for name in LAYOUTS)]
STEPS += "rates times PyTorch launches long sweep emulator".split()
BARE = {"PATH": "/usr/bin:/bin"}
# A PyTorch that computes nothing, one of its backends refused.
TORCH = {
    "__init__.py": """
__version__, bfloat16, float16 = "0", 0, 1
class Tensor:
    def to(self, dtype): return self
    def __matmul__(self, other): return self
def randn(*shape, device=None, generator=None): return Tensor()
class Generator:
    def __init__(self, device): pass
    def manual_seed(self, seed): return self
class cuda:
    def is_available(): return False
from . import nn
""",
    "nn/__init__.py": """
class functional:
    def scaled_dot_product_attention(q, k, v, is_causal): assert is_causal
""",
    "nn/attention.py": """
import contextlib
class SDPBackend: FLASH_ATTENTION = CUDNN_ATTENTION = MATH = 1
def sdpa_kernel(backend): return contextlib.nullcontext()
""",
}


class Results:
    """What a run left behind."""

    def __init__(self, folder):
        (self.json_path,) = folder.glob("gpu_day_*.json")
        self.report = json.loads(self.json_path.read_text())
        self.text = self.json_path.with_suffix(".md").read_text()
        self.glance = "".join(re.split(r"\n## ", self.text)[:2])
        self.records = self.report["records"]

    def of(self, kind):
        return [record for record in self.records if record["kind"] == kind]

    def steps(self):
        return {record["step"]: record["status"] for record in self.of("step")}

    def failures(self):
        return {(check["case"], check["check"]) for check in self.report["failed_checks"]}

    def passed(self, check, case):
        return any(
            record["passed"] and record["check"] == check and record["case"] == case
            for record in self.of("check")
        )


class GpuDay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name) / "day"
        settings = {"NYSJIT_CACHE_DIR": f"{BUILD}/test-cache", "NYSJIT_PTXAS": "none"}
        subprocess.run(
            [SOURCE / "bench/gpu_day.sh", "prepare", cls.folder, "--small", "--targets", TARGET]
            + ["--build", BUILD],
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def command(self, name, *words):
        self.out = pathlib.Path(self.scratch.name) / name
        emulated = ["--device", "ptx-emulator", "--target", TARGET, "--small"]
        return [self.folder / "gpu_day.sh", "run", *emulated, "--out", self.out, *words]

    def run_day(self, name, *words, settings={}):
        done = subprocess.run(
            self.command(name, *words), env=BARE | settings, capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return Results(self.out)

    def still_running(self):
        """Processes of the folder's gpu_day."""
        left = []
        for process in pathlib.Path("/proc").glob("[0-9]*/exe"):
            try:
                if os.readlink(process).startswith(str(self.folder)):
                    left.append(process.parent.name)
            except OSError:  # it ended, or is another user's
                pass
        return left

    def right(self):
        """The run in which nothing breaks, made once."""
        if not hasattr(GpuDay, "whole"):
            for file, source in TORCH.items():
                path = pathlib.Path(self.scratch.name) / "python/torch" / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(source)
            settings = {"PYTHONPATH": f"{self.scratch.name}/python"}
            GpuDay.whole = self.run_day("right", settings=settings)
        return GpuDay.whole

    def test_everything_is_reported_and_right(self):
        found = self.right()
        self.assertEqual(found.steps(), dict.fromkeys(STEPS, "ended"))
        self.assertEqual(found.failures(), set())
        self.assertRegex(found.glance, r"\*\*Correct: all \d+ checks that were made passed\*\*\.")
        self.assertIn("A rehearsal on the PTX emulator", found.text)
        made = {(check.get("layout"), check["check"]) for check in found.of("check")}
        for layout in LAYOUTS:
            for check in ("float64 reference", "determinism", "emulator"):
                self.assertIn((layout, check), made)
            if layout != "bidirectional":
                self.assertIn((layout, "causality"), made)
            self.assertIn((layout, "zeros outside the sequences"), made)
        self.assertEqual(
            {rate["rate"] for rate in found.of("rate")} & {"copy", "mma"}, {"copy", "mma"}
        )
        self.assertEqual(
            {one["launch"] for one in found.of("launch")}, {"host", "overlap", "graph"}
        )
        (overlap,) = (one for one in found.of("launch") if one["launch"] == "overlap")
        self.assertGreater(overlap["kernels"], 0)
        for check in ("overlapped launches' bits", "graph's bits", "last head as if alone"):
            self.assertIn(("causal", check), made)
        for title in ("Times", "Kernels", "Checks", "Beside the emulator", "Block sizes", "Steps"):
            self.assertIn(f"\n## {title}\n", found.text)
        self.assertTrue(all("kernels" in one for one in found.of("sweep")), found.of("sweep"))

    def test_is_held_beside_pytorch(self):
        found = self.right()
        backends = {one["backend"]: "ms" in one for one in found.of("sdpa")}
        expected = dict.fromkeys(["flash_attention", "cudnn_attention", "math"], True)
        self.assertEqual(backends, expected | {"efficient_attention": False})
        self.assertRegex(
            found.glance, r"\*\*exact_causal beside PyTorch's [^\n]*\n  - .* x its speed\*\*: exact"
        )
        self.assertIn("**Layouts with landmarks beside the same exact attention**", found.glance)

    def test_flops_are_four_d_a_pair_under_the_mask(self):
        found = self.right()
        n, d, s, heads = 160, 16, 12, 2
        near = sum(i - i // s * s + 1 for i in range(n))
        far = sum(i // s for i in range(n))
        past = sum(min(start + s, n) for start in range(0, n, s))
        pairs = {
            "causal_output": near + far,
            "landmark_past": past,
            "exact_causal": n * (n + 1) // 2,
        }
        counted = {
            kernel["kernel"]: kernel["flops"]
            for timed in found.of("time")
            for kernel in timed["kernels"]
        }
        for kernel, count in pairs.items():
            self.assertEqual(counted[kernel], 4 * d * heads * count, kernel)

    @unittest.skipUnless(shutil.which("ptxas"), "there is no ptxas on PATH")
    def test_ptxas_takes_its_own_kernels(self):
        listed = subprocess.run(
            [self.folder / "gpu_day", "kernels"], capture_output=True, text=True, check=True
        )
        kernels = listed.stdout.split(".version")[1:]
        self.assertEqual(len(kernels), 3)
        for number, ptx in enumerate(kernels):
            file = pathlib.Path(self.scratch.name) / f"{number}.ptx"
            file.write_text(".version" + ptx)
            done = subprocess.run(
                ["ptxas", "-arch=sm_80", file, "-o", os.devnull], capture_output=True, text=True
            )
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_case_that_breaks_is_named_and_stops_no_other(self):
        hung, faulted = "streaming bfloat16 d16 dense", "segment_causal bfloat16 d16 dense"
        wrong, crashed = "bidirectional bfloat16 d16 dense", "causal 16x12 bfloat16 B1 H2 n160 d16"
        breaks = [f"hang:{hung}", f"fault:{faulted}", f"wrong:{wrong}", f"crash:{crashed}"]
        words = [word for one in breaks for word in ("--break", one)]
        found = self.run_day("broken", "--case-seconds", "5", *words)
        self.assertEqual(
            found.failures(),
            {(hung, "runs"), (faulted, "runs"), (wrong, "float64 reference"), (crashed, "runs")},
        )
        self.assertEqual(found.steps(), dict.fromkeys(STEPS, "ended"))
        for case in (hung, faulted):
            packed = case.replace("dense", "packed")
            self.assertTrue(found.passed("float64 reference", packed), packed)
        self.assertEqual([one["layout"] for one in found.of("time")], ["exact_causal"])
        endings = {check["case"]: str(check["found"]) for check in found.report["failed_checks"]}
        self.assertEqual(endings[hung], "killed after 5 s without an end")
        self.assertEqual(endings[crashed], "crashed: Segmentation fault")
        self.assertIn("CUDA_ERROR_ILLEGAL_ADDRESS", endings[faulted])
        self.assertIn("**WRONG: 1 of ", found.glance)
        self.assertIn("**DID NOT RUN: 3 cases:**", found.glance)
        for case in (hung, faulted, wrong, crashed):
            self.assertIn(f"  - {case}: ", found.glance)

    def test_a_step_over_its_time_is_stopped_and_an_interruption_leaves_a_report(self):
        cases = ["causal bfloat16 d16 dense", "exact_causal bfloat16 d16 dense"]
        words = [word for case in cases for word in ("--break", "hang:" + case)]
        command = self.command("cut", "--limit", "5", *words)
        running = subprocess.Popen(
            command, env=BARE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        records = self.out / "gpu_day.jsonl"
        while running.poll() is None and not (
            records.exists() and f'"case":"{cases[1]}"' in records.read_text()
        ):
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        self.assertEqual(running.wait(), 0)
        self.assertEqual(self.still_running(), [])
        found = Results(self.out)
        self.assertEqual(
            found.steps(),
            dict.fromkeys(STEPS, "skipped")
            | {
                "device": "ended",
                "conformance causal": "timed out",
                "conformance exact_causal": "interrupted",
            },
        )
        self.assertEqual(
            re.findall(r'Step "(.*)" (.*)\*\* after .* during "(.*)"', found.text),
            [
                ("conformance causal", "timed out", cases[0]),
                ("conformance exact_causal", "interrupted", cases[1]),
            ],
        )

    def test_a_machine_without_a_driver_gets_a_report_that_says_so(self):
        out = pathlib.Path(self.scratch.name) / "none"
        subprocess.run(
            [self.folder / "gpu_day.sh", "run", "--out", out],
            env=BARE | {"NYSJIT_CUDA_DRIVER": "/nonexistent/libcuda.so"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        found = Results(out)
        self.assertEqual(found.steps(), {"device": "failed"})
        self.assertIn("a device that did not answer", found.text)
        self.assertIn("/nonexistent/libcuda.so", found.text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
