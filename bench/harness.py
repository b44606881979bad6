"""Shared by the benchmarks: libnysjit in ctypes, medians of alternating runs, tables."""

import ctypes
import datetime
import functools
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import time

import c_header

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"


def machine():
    names = [
        line.split(":", 1)[1].strip()
        for line in open("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    cpus = len(os.sched_getaffinity(0))
    return f"{names[0]}, {cpus} of its CPUs, {platform.system()} {platform.release()}"


def markdown(title, header, rows):
    """A Markdown table under its title, as lines."""
    lines = [f"## {title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def publish(lines, notes=()):
    """Prints the lines with machine, date and command and, with --save FILE on the command line,
    writes them to bench/results/FILE."""
    words = [word for word in sys.argv[1:] if word != "--save"]
    if "--save" in sys.argv:
        words = sys.argv[1 : sys.argv.index("--save")] + sys.argv[sys.argv.index("--save") + 2 :]
    script = str(pathlib.Path(sys.argv[0]).resolve().relative_to(ROOT))
    command = shlex.join(["python3", script, *words])
    lines = [
        *lines,
        "",
        *notes,
        f"Machine: {machine()}. Date: {datetime.date.today()}. Commit: {commit()}.",
        f"Command: `{command}`",
        "",
    ]
    print("\n".join(lines))
    if "--save" in sys.argv:
        path = ROOT / "bench/results" / sys.argv[sys.argv.index("--save") + 1]
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines))


def table(title, header, rows, notes=()):
    """One table, published."""
    publish(markdown(title, header, rows), notes)


@functools.cache
def commit():
    """What is measured; asked before anything is written."""
    return subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()


commit()


def median_ms(callables, repeat, seconds=60.0):
    """The median time of each callable, all run in turn, `repeat` rounds or as many as fit into
    `seconds` (3 at least). Before it is timed each waits until the peer's threads have stopped
    spinning (libgomp's do for some milliseconds) and runs once."""
    times = [[] for _ in callables]
    end = time.monotonic() + seconds
    for call in callables:
        call()
    for round_number in range(repeat):
        if round_number >= 3 and time.monotonic() > end:
            break
        for call, taken in zip(callables, times):
            pause = time.perf_counter() + 0.005
            while time.perf_counter() < pause:  # a sleep would let the machine take our CPUs away
                pass
            call()
            start = time.perf_counter()
            call()
            taken.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(taken) for taken in times]


STRUCTS = c_header.structs((ROOT / "runtime/include/nysjit.h").read_text())
ContextOptions = STRUCTS["nysjit_context_options"]
LaunchTiming = STRUCTS["nysjit_launch_timing"]
ProgramInfo = STRUCTS["nysjit_program_info"]
RunArgs = STRUCTS["nysjit_run_args"]


def view(x):
    """A DLTensor of a numpy array, or of a torch tensor on the CPU; it does not keep x alive."""
    code, bits = {"float32": (2, 32), "float16": (2, 16), "bfloat16": (4, 16), "int32": (0, 32)}[
        str(x.dtype).removeprefix("torch.")
    ]
    is_torch = hasattr(x, "data_ptr")
    strides = x.stride() if is_torch else [step // x.itemsize for step in x.strides]
    numbers = ctypes.c_int64 * len(x.shape)
    return c_header.DLTensor(
        x.data_ptr() if is_torch else x.ctypes.data,
        1,
        0,
        len(x.shape),
        code,
        bits,
        1,
        numbers(*x.shape),
        numbers(*strides),
        0,
    )


class Runtime:
    """One context. Programs take numpy arrays, or torch tensors on the CPU."""

    def __init__(self, threads=0, cache_dir=None):
        self.library = ctypes.CDLL(str(BUILD / "lib/libnysjit.so"))
        self.library.nysjit_last_error.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p()
        options = ContextOptions(
            size=ctypes.sizeof(ContextOptions),
            threads=threads,
            cache_dir=cache_dir and str(cache_dir).encode(),
            compiler=str(BUILD / "bin/nysjit-compiler").encode(),
        )
        self.check(
            self.library.nysjit_context_create(ctypes.byref(options), ctypes.byref(self.context))
        )

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.library.nysjit_last_error().decode())

    def prepare(self, spec, config=None, target=None):
        program = ctypes.c_void_p()
        self.check(
            self.library.nysjit_prepare(
                self.context,
                json.dumps(spec).encode(),
                json.dumps(config or {}).encode(),  # the defaults, not what is found here
                target and target.encode(),
                ctypes.byref(program),
            )
        )
        return program

    def config(self, program):
        """The block sizes in use, by kernel."""
        info = ProgramInfo(size=ctypes.sizeof(ProgramInfo))
        self.check(self.library.nysjit_program_get_info(program, ctypes.byref(info)))
        return json.loads(info.config_json)

    def saved_bytes(self, program, call):
        """What a saving run keeps for backward ones."""
        size = ctypes.c_size_t()
        self.check(
            self.library.nysjit_saved_size(program, ctypes.byref(call.args), ctypes.byref(size))
        )
        return size.value

    def bind(self, program, q, k, v, o, saved=None, **more):
        """A callable that runs `program` on these tensors, those in `more` by the header's names.
        Its `launches()` gives the last run's [(kernel, grid, ms)], its `workspace` the bytes
        between kernels. `saved`: an array of bytes, aligned to 64."""
        tensors = {"q": q, "k": k, "v": v, "o": o, **more}
        views = {name: view(x) for name, x in tensors.items()}
        timings, count = (LaunchTiming * 16)(), ctypes.c_size_t()
        args = RunArgs(
            size=ctypes.sizeof(RunArgs),
            **{name: ctypes.pointer(x) for name, x in views.items()},
            timings=timings,
            timing_capacity=16,
            timing_count=ctypes.pointer(count),
            **({} if saved is None else {"saved": saved.ctypes.data, "saved_size": saved.nbytes}),
        )
        run, reference, workspace = self.library.nysjit_run, ctypes.byref(args), ctypes.c_size_t()
        self.check(self.library.nysjit_workspace_size(program, reference, ctypes.byref(workspace)))

        def call():
            self.check(run(program, reference, None))

        call.keep = (tensors, views, saved)
        call.args = args
        call.workspace = workspace.value
        call.launches = lambda: [
            (timings[i].kernel.decode(), timings[i].grid, timings[i].ms) for i in range(count.value)
        ]
        return call
