"""The benchmarks' ctypes are the C compiler's structs: sizes, and offsets and sizes of all fields.

usage: c_header_test.py SOURCE_DIR C_COMPILER
"""

import ctypes
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE, COMPILER = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
sys.path.insert(0, str(SOURCE / "bench"))

import c_header

HEADER = SOURCE / "runtime/include/nysjit.h"


def by_compiler(names):
    """ "NAME size" and "NAME.FIELD offset size" lines of {name: fields}, as C has them."""
    lines = []
    for name, fields in names.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field in fields:
            numbers = f"offsetof({name}, {field}), sizeof((({name} *)0)->{field})"
            lines.append(f'printf("{name}.{field} %zu %zu\\n", {numbers});')
    body = "\n".join(lines)
    code = f'#include <stdio.h>\n#include "{HEADER}"\nint main(void) {{\n{body}\nreturn 0;\n}}\n'
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "program"
        command = [COMPILER, "-x", "c", "-", "-o", program]
        subprocess.run(command, input=code, text=True, check=True)
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def by_ctypes(structs):
    lines = []
    for name, struct in structs.items():
        lines.append(f"{name} {ctypes.sizeof(struct)}\n")
        for field, _ in struct._fields_:
            place = getattr(struct, field)
            lines.append(f"{name}.{field} {place.offset} {place.size}\n")
    return "".join(lines)


class Header(unittest.TestCase):
    def test_structs_are_the_compilers(self):
        structs = c_header.structs(HEADER.read_text())
        self.assertIn("nysjit_run_args", structs)
        names = {name: [f for f, _ in struct._fields_] for name, struct in structs.items()}
        self.assertEqual(by_ctypes(structs), by_compiler(names))

    def test_dlpacks_tensor_is_the_compilers(self):
        size = ctypes.sizeof(c_header.DLTensor)
        self.assertEqual(f"DLTensor {size}\n", by_compiler({"DLTensor": []}))

    def test_every_struct_is_read(self):
        text = HEADER.read_text()
        self.assertEqual(len(c_header.structs(text)), text.count("typedef struct ") - 2)  # opaque

    def test_what_is_not_understood_is_an_error(self):
        for field in ("int a", "float x[4]", "size_t a, b", "size_t a : 3"):
            with self.assertRaises(ValueError, msg=field):
                c_header.structs(f"typedef struct s {{ {field}; }} s;")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
