"""The files that are written by hand, for the checks of this folder."""

FOLDERS = (
    ".ci", "bench", "cmake", "compiler", "examples", "python", "runtime", "templates", "tests",
)
SUFFIXES = (".h", ".hpp", ".c", ".cpp", ".td", ".cmake", ".py", ".sh")
# Others' PTX holds the line numbers of the sources beside it.
FOREIGN = "tests/emulator/fixtures/"


def sources(root):
    """(path, text) of each that has rules for its lines, in the order of paths."""
    files = [root / "CMakeLists.txt"]
    for folder in FOLDERS:
        files += (root / folder).rglob("*")
    for file in sorted(files):
        path = str(file.relative_to(root))
        is_foreign = path.startswith(FOREIGN) and file.suffix != ".sh"
        has_rules = file.suffix in SUFFIXES or path == ".ci/run" or file.name == "CMakeLists.txt"
        if has_rules and not is_foreign and file.is_file():
            yield path, file.read_text()


def is_c(path):
    return path.endswith((".h", ".hpp", ".c", ".cpp"))
