"""What setting up installs is what building reads: each system header and each library that CMake
found comes with a package that .ci/setup.sh names, or with one that such a package depends on.

usage: packages_test.py SOURCE_DIR BUILD_DIR
"""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SOURCE, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])


def output(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


def named_packages():
    text = (SOURCE / ".ci/setup.sh").read_text()
    return re.search(r"nysjit_packages=\(([^)]*)\)", text)[1].split()


def closure(names):
    """The installed packages that come with these, recommended ones left out."""
    depends, provided = {}, {}
    form = "${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
    for line in output("dpkg-query", "-W", "-f", form).splitlines():
        package, provides, needs = line.split("\t")
        depends.setdefault(package, set()).update(re.findall(r"(?:^|[,|])\s*([\w.+-]+)", needs))
        for virtual in re.findall(r"(?:^|,)\s*([\w.+-]+)", provides):
            provided.setdefault(virtual, set()).add(package)
    seen, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        for package in {name} | provided.get(name, set()):
            if package not in seen:
                seen.add(package)
                waiting += depends.get(package, ())
    return seen


def files_read():
    """System headers by the compiler's own account, and files that CMake's cache names."""
    deps = output("ninja", "-C", str(BUILD), "-t", "deps")
    files = set(re.findall(r"^    (/usr/(?!local/)\S+)$", deps, re.MULTILINE))
    cache = (BUILD / "CMakeCache.txt").read_text()
    libraries = re.findall(r"^NYSJIT_\w+:FILEPATH=(/usr/(?!local/)\S+\.a)$", cache, re.MULTILINE)
    return files | set(libraries)


def packages_of(files):
    """File by package; a path below /usr may be known without it."""
    found = output("dpkg", "-S", *sorted(files), check=False)
    return {
        owner.split(":")[0]: file
        for line in found.splitlines()
        if not line.startswith("diversion")
        for owners, _, file in [line.rpartition(": ")]
        for owner in owners.split(", ")
    }


class Packages(unittest.TestCase):
    def test_what_building_reads_is_set_up(self):
        owners = packages_of(files_read())
        self.assertGreater(len(owners), 10)
        there = closure(named_packages())
        missing = [f"{package}: {file}" for package, file in owners.items() if package not in there]
        self.assertEqual(missing, [], "packages that .ci/setup.sh does not install")


if __name__ == "__main__":
    if not shutil.which("dpkg-query") or not (BUILD / "build.ninja").exists():
        print("skipped: no Debian packages or no Ninja here")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
