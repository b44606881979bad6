"""The C API's structs as ctypes, read from runtime/include/nysjit.h: they cannot drift from it.

Only what that header has is understood: structs of numbers, of pointers to numbers, to structs, to
char and to void, and of function pointers by typedef name.
"""

import ctypes
import re

NUMBERS = {
    "size_t": ctypes.c_size_t,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
}


class DLTensor(ctypes.Structure):
    """DLPack's; the nested device and dtype are flat here."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


def _pointer(pointee, known):
    if pointee == "char":
        return ctypes.c_char_p
    return ctypes.POINTER(known[pointee]) if pointee in known else ctypes.c_void_p


def _field(declaration, known, functions):
    """(name, type) of "const DLTensor *q", or of "const char *const *names"."""
    found = re.fullmatch(r"(?:const\s+)?(\w+)\s*(\*?)\s*(\w+)", declaration)
    if texts := re.fullmatch(r"const char \*const \*(\w+)", declaration):
        return texts[1], ctypes.POINTER(ctypes.c_char_p)
    if not found:
        raise ValueError(f"expected one field, found {declaration!r}")
    base, star, name = found.groups()
    if star:
        return name, _pointer(base, known)
    if base in functions:
        return name, ctypes.c_void_p
    if base not in known:
        raise ValueError(f"expected a type of this header, found {declaration!r}")
    return name, known[base]


def structs(text):
    """{name: the ctypes class} of each `typedef struct NAME {...} NAME;`, in the header's order."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    functions = set(re.findall(r"typedef\s+[\w\s*]+\(\*(\w+)\)", text))
    known = {**NUMBERS, "DLTensor": DLTensor}
    made = {}
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text, re.DOTALL):
        fields = [part.strip() for part in body.split(";") if part.strip()]
        members = {"_fields_": [_field(field, known, functions) for field in fields]}
        made[name] = known[name] = type(name, (ctypes.Structure,), members)
    return made
