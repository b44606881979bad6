"""libnysjit.so by ctypes: what Python asks of it beside runs, which go through a framework's
operator.

Nothing here is on the way of a call of attention.
"""

import ctypes
import functools
import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent
OK = 0


class Error(RuntimeError):
    """What the library could not do. Its text says where, what was expected and what was found.

    Attributes: ``status`` (as in nysjit.h: 3 is an invalid argument), ``kind`` ("invalid_key",
    ...), ``where``, ``expected`` and ``found``, "" where the text has none.
    """

    def __init__(self, message, status=0, kind="", where="", expected="", found=""):
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.where = where
        self.expected = expected
        self.found = found


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype_code", ctypes.c_uint8),
        ("dtype_bits", ctypes.c_uint8),
        ("dtype_lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class ContextOptions(ctypes.Structure):
    """nysjit_context_options as far as it is used here: the library reads the rest as zero."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("cache_dir", ctypes.c_char_p),
        ("compiler", ctypes.c_char_p),
        ("threads", ctypes.c_uint32),
        ("sealed", ctypes.c_uint32),
        ("parallel_for", ctypes.c_void_p),
        ("parallel_for_context", ctypes.c_void_p),
        ("device", ctypes.c_char_p),
    ]


class ProgramInfo(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("cache", ctypes.c_char_p),
        ("load_ms", ctypes.c_double),
        ("compile_ms", ctypes.c_double),
        ("key", ctypes.c_char_p),
        ("target", ctypes.c_char_p),
        ("spec_json", ctypes.c_char_p),
        ("config_json", ctypes.c_char_p),
        ("plan_json", ctypes.c_char_p),
        ("kernels_json", ctypes.c_char_p),
        ("scratch_bytes_per_thread", ctypes.c_size_t),
        ("object", ctypes.c_void_p),
        ("object_size", ctypes.c_size_t),
        ("stages_ms_json", ctypes.c_char_p),
        ("ptx", ctypes.c_char_p),
        ("config_source", ctypes.c_char_p),
    ]


POINTER = ctypes.POINTER(DLTensor)


class RunArgs(ctypes.Structure):
    """nysjit_run_args up to what a calibration reads."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("q", POINTER),
        ("k", POINTER),
        ("v", POINTER),
        ("o", POINTER),
        ("scale", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
        ("workspace_size", ctypes.c_size_t),
        ("timings", ctypes.c_void_p),
        ("timing_capacity", ctypes.c_size_t),
        ("timing_count", ctypes.c_void_p),
        ("landmark_q", POINTER),
        ("landmark_k", POINTER),
        ("conv", POINTER),
        ("cu_seqlens", POINTER),
        ("seqlens", POINTER),
        ("source_len", POINTER),
        ("dout", POINTER),
        ("dq", POINTER),
        ("dk", POINTER),
        ("dv", POINTER),
        ("max_length", ctypes.c_int64),
        ("seed", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("seq_starts", POINTER),
    ]


class CalibrateArgs(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("runs", ctypes.POINTER(ctypes.POINTER(RunArgs))),
        ("run_count", ctypes.c_size_t),
        ("probes", POINTER),
        ("seed", ctypes.c_uint64),
        ("heads", ctypes.c_void_p),
        ("head_count", ctypes.c_size_t),
    ]


def path(name):
    """Of a file of the package; an error if it is not there."""
    file = FOLDER / name
    if not file.exists():
        raise Error(f"nysjit: expected {file}, which the package brings, found no such file")
    return file


@functools.cache
def library():
    """libnysjit.so, loaded."""
    loaded = ctypes.CDLL(str(path("lib/libnysjit.so.0")))
    loaded.nysjit_last_error.restype = ctypes.c_char_p
    loaded.nysjit_last_error_json.restype = ctypes.c_char_p
    loaded.nysjit_abi_version.restype = ctypes.c_uint32
    return loaded


def check(status):
    """Raises the calling thread's error if the status is one."""
    if status != OK:
        text = library().nysjit_last_error().decode()
        raise Error(text, status, **_words(library().nysjit_last_error_json()))


def _words(report):
    words = json.loads(report)
    return {name: words.get(name, "") for name in ("kind", "where", "expected", "found")}


@functools.cache
def context(device):
    """The context of a device ("cpu", "cuda"), made once; it lives as long as the process."""
    options = ContextOptions(size=ctypes.sizeof(ContextOptions), device=device.encode())
    made = ctypes.c_void_p()
    check(library().nysjit_context_create(ctypes.byref(options), ctypes.byref(made)))
    return made


def program_info(spec_json, device, target):
    """The program for a spec, prepared; what there is to know of it, by the names of nysjit.h."""
    program = ctypes.c_void_p()
    target = None if target is None else target.encode()
    check(
        library().nysjit_prepare(
            context(device), spec_json.encode(), None, target, ctypes.byref(program)
        )
    )
    try:
        info = ProgramInfo(size=ctypes.sizeof(ProgramInfo))
        check(library().nysjit_program_get_info(program, ctypes.byref(info)))
        return _readable(info)
    finally:
        library().nysjit_program_release(program)


def _readable(info):
    found = {}
    for name, _ in ProgramInfo._fields_[1:]:
        value = getattr(info, name)
        value = value.decode() if isinstance(value, bytes) else value
        if name.endswith("_json"):
            found[name.removesuffix("_json")] = json.loads(value)
        elif name not in ("object", "object_size"):
            found[name] = value
    return found
