"""A root folder with the loader, libc and perhaps the C++ runtime, and nothing else."""

import pathlib
import shutil
import subprocess

LOADER = "/lib64/ld-linux-x86-64.so.2"
LIBC = ("libc.so.6", "libm.so.6")
CPLUSPLUS = (*LIBC, "libstdc++.so.6", "libgcc_s.so.1")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM = pathlib.Path("/usr/lib/x86_64-linux-gnu")


def entering():
    """The command that runs another in a root folder, without the folder; None if not permitted."""
    for command in (["chroot"], ["unshare", "--map-root-user", "--root"]):
        if shutil.which(command[0], path=PATH):
            done = subprocess.run([*command, "/", "true"], capture_output=True, env={"PATH": PATH})
            if done.returncode == 0:
                return command
    return None


def missing():
    """Why there can be no such root here; "" if there can."""
    absent = [name for name in CPLUSPLUS if not (SYSTEM / name).exists()]
    if absent or not pathlib.Path(LOADER).exists():
        return "no Debian libraries to make a root of"
    return "" if entering() else "neither chroot nor user namespaces are permitted"


class BareRoot:
    def __init__(self, path, libraries=CPLUSPLUS):
        self.path = pathlib.Path(path)
        for folder in ("lib64", "lib/x86_64-linux-gnu", "usr", "dev", "tmp", "home"):
            (self.path / folder).mkdir(parents=True)
        shutil.copy(LOADER, self.path / "lib64")
        for name in libraries:
            shutil.copy(SYSTEM / name, self.path / "lib/x86_64-linux-gnu")
        (self.path / "dev/null").touch()  # a device takes privileges

    def run(self, *command, **environment):
        """(exit status, what it printed) of a command in the root, with this environment alone."""
        done = subprocess.run([*entering(), str(self.path), *command], text=True,
                              env={"HOME": "/home", "PATH": PATH, **environment},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
