"""What a call of attention costs beside its work: microseconds from Python, on a library whose runs
do nothing, alternating in one run.

usage: build/python-env/bin/python bench/python_overhead.py BUILD_DIR [--rounds N]

BUILD_DIR/python-site holds the package (the target python_site). Its libnysjit.so.0 is replaced, in
a copy, by one of the same C API that returns at once; C's compiler is `cc`. The least, the tenth
percentile and the median of the rounds; the machine's other thread comes and goes, so the tenth is
the one to read. docs/python.md has a table of it.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import timeit

IDLE = """
#include <nysjit.h>
static int object;
uint32_t nysjit_abi_version(void) { return NYSJIT_ABI_VERSION; }
const char *nysjit_last_error(void) { return "idle"; }
const char *nysjit_last_error_json(void) { return "{}"; }
nysjit_status nysjit_context_create(const nysjit_context_options *o, nysjit_context **c) {
  return (void)o, *c = (void *)&object, 0;
}
void nysjit_context_destroy(nysjit_context *c) { (void)c; }
nysjit_status nysjit_prepare(nysjit_context *c, const char *s, const char *f, const char *t,
                             nysjit_program **p) {
  return (void)c, (void)s, (void)f, (void)t, *p = (void *)&object, 0;
}
void nysjit_program_release(nysjit_program *p) { (void)p; }
nysjit_status nysjit_workspace_size(const nysjit_program *p, const nysjit_run_args *a, size_t *b) {
  return (void)p, (void)a, *b = 0, 0;
}
nysjit_status nysjit_saved_size(const nysjit_program *p, const nysjit_run_args *a, size_t *b) {
  return (void)p, (void)a, *b = 4096, 0;
}
nysjit_status nysjit_run(const nysjit_program *p, const nysjit_run_args *a, void *s) {
  return (void)p, (void)a, (void)s, 0;
}
"""


def with_idle_library(build, folder):
    """A copy of the package whose library does nothing; the folder to import it from."""
    shutil.copytree(build / "python-site", folder, dirs_exist_ok=True, symlinks=True)
    library = folder / "nysjit/lib/libnysjit.so.0"
    library.unlink()
    (folder / "idle.c").write_text(IDLE)
    include = folder / "nysjit/include"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-Wl,-soname,libnysjit.so.0",
         f"-Wl,--version-script={build.parent}/runtime/api/nysjit.map", f"-I{include}",
         folder / "idle.c", "-o", library],
        check=True,
    )  # fmt: skip
    return folder


def cases():
    """{what: a call}; q, k, v [1, 2, 4, 64], one thread."""
    import torch
    import torch.nn.functional as F

    import nysjit
    from nysjit.torch import attention

    torch.set_num_threads(1)
    q, k, v = (torch.randn(1, 2, 4, 64) for _ in range(3))
    learning = q.clone().requires_grad_()
    spec = nysjit.Spec(layout="exact_causal")
    text = spec.json(64, "float32")
    operator = torch.ops.nysjit.attention.default
    lengths = torch.tensor([4], dtype=torch.int32)
    compiled = torch.compile(lambda q: attention(q, k, v, spec), fullgraph=True)
    plain = torch.compile(torch.empty_like, fullgraph=True)

    def with_no_grad(q):
        with torch.no_grad():
            return compiled(q)

    return {
        "torch.empty_like(q)": lambda: torch.empty_like(q),
        "torch.add(q, k)": lambda: torch.add(q, k),
        "scaled_dot_product_attention (it computes)": lambda: F.scaled_dot_product_attention(
            q, k, v
        ),
        "the operator alone": lambda: operator(q, k, v, text),
        "attention, a Spec": lambda: attention(q, k, v, spec),
        "attention, keywords": lambda: attention(q, k, v, layout="causal", segment_len=64),
        "attention, a Spec, padded": lambda: attention(q, k, v, spec, seqlens=lengths),
        "attention, q needs a gradient": lambda: attention(learning, k, v, spec),
        "the same and SDPA": lambda: F.scaled_dot_product_attention(learning, k, v),
        "compiled: empty_like": lambda: plain(q),
        "compiled: attention": lambda: with_no_grad(q),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=150)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(with_idle_library(arguments.build.resolve(), pathlib.Path(folder))))
        calls = cases()
        times = {name: [] for name in calls}
        for call in calls.values():
            call()
        for _ in range(arguments.rounds):
            for name, call in calls.items():
                times[name].append(timeit.timeit(call, number=60) / 60 * 1e6)
    print(f"| us, {arguments.rounds} rounds of 60 calls | least | tenth percentile | median |")
    print("|---|---|---|---|")
    for name, found in times.items():
        found.sort()
        least, tenth, median = (found[int(len(found) * part)] for part in (0, 0.1, 0.5))
        print(f"| {name} | {least:.2f} | {tenth:.2f} | {median:.2f} |")


if __name__ == "__main__":
    main()
