"""`nysjit tune --export t4` writes what the readers of T4 read, and the same for the same journal.

usage: t4_test.py NYSJIT

What is required is stated here from two published schemas, not copied from them:
  1.1.0  github.com/AutoTuningAssociation/autotuning_methodology (MIT), file
         src/autotuning_methodology/schemas/T4.json at commit 15c1ebb31cc0
  1.0.0  github.com/KernelTuner/kernel_tuner (Apache 2.0), file
         kernel_tuner/schema/T4/1.0.0/results-schema.json at commit 96a6abc10191
and from what reads such files: autotuning_methodology's runner asserts five times and exactly one
measurement for each objective. With NYSJIT_T4_SCHEMAS, paths of those two files separated by
colons, and jsonschema they are asked themselves; the wheels autotuning_methodology 1.1.0 and
kernel_tuner 1.5.0 on PyPI have them.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

NYSJIT = pathlib.Path(sys.argv[1]).resolve()

INVALIDITIES = ["timeout", "compile", "runtime", "correctness", "constraints", "correct"]
TIMES = ["compilation", "benchmark", "framework", "search_algorithm", "validation"]
NUMBER = (int, float)

SESSION = {
    "kind": "session",
    "session": "2026-11-28T13:40:08Z",
    "pid": 4711,
    "spec": {"layout": "causal", "dtype": "float32", "head_dim": 64},
    "target": "cpu:native",
    "device": {"kind": "cpu", "vendor": "AuthenticAMD", "signature": "00a10f11", "threads": 2},
    "compiler": "build-id 1",
    "measure": {"shapes": [{"length": 512}, {"length": 2048}]},
    "default": {
        "causal_output": {"block_m": 64, "block_n": 64},
        "landmark_solve": {"block_m": 64},
    },
    "groups": ["causal_output", "landmark_solve"],
}


def candidate(number, group, config, invalidity="correct"):
    return {
        "kind": "candidate",
        "id": number,
        "group": group,
        "config": config,
        "invalidity": invalidity,
        "compile_ms": 180.5,
        "check_ms": 2.5,
        "resources": {"scratch_bytes": 4096},
    }


CANDIDATES = [
    candidate(1, "causal_output", {"causal_output": {"block_m": 16, "block_n": 32}}),
    candidate(2, "landmark_solve", {"landmark_solve": {"block_m": 16}}),
] + [
    candidate(3 + i, "landmark_solve", {"landmark_solve": {"block_m": 32 << i}}, invalidity)
    for i, invalidity in enumerate(INVALIDITIES)
]


def round_line(shape, ms):
    return {
        "kind": "round",
        "round": 1,
        "shape": shape,
        "ms": {"0": [ms, 1], "0'": [ms, 1], "1": [ms / 2], "2": [0.5]},
        "cpu_ms": {"0": [7, 7], "0'": [7, 7], "1": [8], "2": [9]},
    }


ROUNDS = [round_line(shape, ms) for ms in (4, 8, 6) for shape in (0, 1)]
GROUPS = [
    {
        "kind": "group",
        "group": group,
        "of": 2,
        "ratios": {number: [0.5, 0.6]},
        "clock": "wall",
    }
    for group, number in (("causal_output", "1"), ("landmark_solve", "2"))
]
CAUSAL = "0-causal-float32-threads2-causal_output-shape0.json"
SOLVE = "0-causal-float32-threads2-landmark_solve-shape1.json"


class T4(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def export(self, lines, output="out"):
        """The documents by their files' names."""
        journal = self.path / "t.jsonl"
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
        command = [NYSJIT, "tune", "--export", "t4", journal, "-o", self.path / output, "--json"]
        reply = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        files = sorted(path.name for path in (self.path / output).iterdir())
        self.assertEqual(sorted(reply["files"]), files)
        return {name: json.loads((self.path / output / name).read_text()) for name in files}

    def check(self, document):
        """Both schemas, and the readers' assertions."""
        self.assertRegex(document["schema_version"], r"^\d+\.\d+\.\d+$")
        metadata = document["metadata"]
        self.assertIn(metadata.get("compute_api", "CUDA"), ["OpenCL", "CUDA", "Vulkan"])
        self.assertEqual(metadata["timeunit"], "milliseconds")
        for name in ("platform", "device", "autotuner", "autotuner_version", "timestamp"):
            self.assertIsInstance(metadata[name], str)
        for result in document["results"]:
            self.assertIsInstance(result["configuration"], dict)
            self.assertIsInstance(result["timestamp"], str)
            self.assertIn(result["invalidity"], INVALIDITIES)
            self.assertEqual(result["correctness"], int(result["invalidity"] == "correct"))
            for name in TIMES + ["compilation_time"]:
                self.assertIsInstance(result["times"][name], NUMBER)
            for time in result["times"]["runtimes"]:
                self.assertIsInstance(time, NUMBER)
            for one in result["measurements"]:
                self.assertIsInstance(one["name"], str)
                self.assertIsInstance(one["value"], (*NUMBER, str, list))
                self.assertIsInstance(one["unit"], str)
            for objective in result["objectives"]:
                self.assertEqual([m["name"] for m in result["measurements"]].count(objective), 1)

    @unittest.skipUnless(os.environ.get("NYSJIT_T4_SCHEMAS"), "NYSJIT_T4_SCHEMAS is not set")
    def test_is_what_the_schemas_themselves_ask_for(self):
        import jsonschema

        for path in os.environ["NYSJIT_T4_SCHEMAS"].split(":"):
            schema = json.loads(pathlib.Path(path).read_text())
            for document in self.export([SESSION, *CANDIDATES, *ROUNDS, *GROUPS]).values():
                jsonschema.validate(document, schema)

    def test_is_one_document_a_group_and_shape_that_its_readers_read(self):
        documents = self.export([SESSION, *CANDIDATES, *ROUNDS, *GROUPS])
        self.assertEqual(len(documents), 4)
        for document in documents.values():
            self.check(document)
        first, second, fast = documents[CAUSAL]["results"]
        default = {"causal_output.block_m": 64, "causal_output.block_n": 64}
        for arm in (first, second):
            self.assertEqual(arm["configuration"], default)
            self.assertEqual(arm["times"]["runtimes"], [4, 8, 6])
            self.assertEqual(arm["times"]["benchmark"], 18)
        self.assertEqual(
            fast["configuration"], {"causal_output.block_m": 16, "causal_output.block_n": 32}
        )
        self.assertEqual(fast["times"]["compilation_time"], 180.5)
        self.assertEqual(fast["times"]["compilation"], 180.5)
        self.assertEqual(fast["times"]["validation"], 2.5)
        values = {m["name"]: (m["value"], m["unit"]) for m in fast["measurements"]}
        self.assertEqual(values["time"], (3, "ms"))
        self.assertEqual(values["ratio"], (0.5, ""))
        self.assertEqual(values["scratch_bytes"], (4096, "bytes"))

    def test_has_what_could_not_be_used_by_its_reason_and_not_what_was_not_timed(self):
        results = self.export([SESSION, *CANDIDATES, *ROUNDS, *GROUPS])[SOLVE]["results"]
        self.assertEqual(
            [result["invalidity"] for result in results],
            ["correct", "correct", "correct"] + INVALIDITIES[:-1],
        )
        self.assertEqual(
            [result["measurements"][0]["value"] for result in results],
            [1, 1, 0.5]
            + ["CompilationFailedConfig"] * 2
            + ["RuntimeFailedConfig"] * 2
            + ["InvalidConfig"],
        )

    def test_takes_the_times_of_the_clock_that_decided(self):
        groups = [{**group, "clock": "cpu"} for group in GROUPS]
        results = self.export([SESSION, *CANDIDATES, *ROUNDS, *groups])[CAUSAL]["results"]
        self.assertEqual([r["times"]["runtimes"][0] for r in results], [7, 7, 8])

    def test_says_of_a_model_that_it_is_one_and_of_a_gpu_its_api_and_name(self):
        emulator = {**SESSION, "device": {"kind": "ptx-emulator"}}
        gpu = {**SESSION, "device": {"kind": "cuda"}, "about": {"gpu": "NVIDIA H200"}}
        lines = [*CANDIDATES, *ROUNDS, *GROUPS]
        documents = self.export([emulator, *lines, gpu, *lines])
        for name, document in documents.items():
            self.check(document)
            is_model = name.startswith("0-")
            clock = document["results"][0]["measurements"][1]
            self.assertEqual(clock["name"], "clock")
            self.assertEqual(clock["value"], "model" if is_model else "wall")
            metadata = document["metadata"]
            self.assertEqual(metadata.get("compute_api"), None if is_model else "CUDA")
            self.assertEqual(metadata["device"], "ptx-emulator" if is_model else "NVIDIA H200")

    def test_is_the_same_for_the_same_journal(self):
        lines = [SESSION, *CANDIDATES, *ROUNDS, *GROUPS]
        self.export(lines)
        self.export(lines, "again")
        for path in (self.path / "out").iterdir():
            self.assertEqual(path.read_bytes(), (self.path / "again" / path.name).read_bytes())

    def test_has_the_rounds_of_a_tune_that_is_under_way_and_not_those_that_were_given_up(self):
        given_up = [round_line(0, 99)]
        lines = [SESSION, *CANDIDATES, *given_up, SESSION, *CANDIDATES, *ROUNDS[:3]]
        documents = self.export(lines)
        for document in documents.values():
            self.check(document)
        results = documents[CAUSAL]["results"]
        self.assertEqual([r["times"]["runtimes"] for r in results], [[4, 8], [4, 8], [2, 4]])
        self.assertNotIn("ratio", [m["name"] for m in results[2]["measurements"]])
        # A line that is being written is none yet; half of the groups are none.
        path = self.path / "t.jsonl"
        path.write_text(path.read_text() + json.dumps(GROUPS[0]) + "\n" + '{"kind": "rou')
        command = [NYSJIT, "tune", "--export", "t4", path, "-o", self.path / "torn"]
        before = path.read_bytes()
        subprocess.run(command, check=True, capture_output=True)
        self.assertEqual(path.read_bytes(), before)
        # So its rounds are none either, and nothing is known of this group.
        self.assertFalse((self.path / "torn" / CAUSAL).exists())
        self.assertTrue((self.path / "torn" / SOLVE).exists())

    def test_keeps_numbers_of_threads_and_specs_apart(self):
        other = {**SESSION, "device": {**SESSION["device"], "threads": 4}}
        third = {**SESSION, "spec": {**SESSION["spec"], "head_dim": 128}}
        lines = []
        for session in (SESSION, other, third):
            lines += [session, *CANDIDATES, *ROUNDS, *GROUPS]
        documents = self.export(lines)
        self.assertEqual(len(documents), 12)
        self.assertIn("1-causal-float32-threads4-causal_output-shape1.json", documents)
        self.assertIn("2-causal-float32-threads2-causal_output-shape1.json", documents)

    def fail_with(self, journal, output="out", form="t4"):
        command = [NYSJIT, "tune", "--export", form, journal, "-o", output, "--json"]
        run = subprocess.run(command, capture_output=True, cwd=self.path)
        return run.returncode, json.loads(run.stdout)["error"]

    def test_says_what_is_wrong(self):
        journal = self.path / "t.jsonl"
        for damaged in ('{"kind":', "[]", "", '{"pid": 1}'):
            session = json.dumps(SESSION)
            journal.write_text(f"{session}\n{damaged}\n{session}\n")
            code, error = self.fail_with("t.jsonl")
            self.assertEqual((code, error["kind"], error["where"]), (1, "unavailable", "t.jsonl"))
            self.assertIn("line 2", error["message"])
        code, error = self.fail_with("absent.jsonl")
        self.assertEqual((code, error["where"]), (2, "--export"))
        code, error = self.fail_with("t.jsonl", form="t1")
        self.assertEqual((code, error["where"]), (2, "--export"))
        journal.write_text(json.dumps(SESSION) + "\n")
        code, error = self.fail_with("t.jsonl", output="t.jsonl")
        self.assertEqual((code, error["where"]), (2, "-o"))
        # Values of other types than a journal has are no results, and nothing worse.
        wrong = [
            {"kind": kind, "groups": 1, "ms": [1], "group": {}, "ratios": 7, "config": []}
            for kind in ("session", "candidate", "round", "group", "done")
        ]
        journal.write_text("".join(json.dumps(line) + "\n" for line in wrong))
        command = [NYSJIT, "tune", "--export", "t4", journal, "-o", self.path / "none"]
        self.assertEqual(subprocess.run(command, capture_output=True).returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
