# Tests of IR: each .mlir says in its RUN lines what to run and in its CHECK lines what must come
# out.
import os
import lit.formats

config.name = "nysjit-ir"
config.test_format = lit.formats.ShTest(True)
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(lit_config.params["build"], "tests", "lit")
config.environment["PATH"] = os.pathsep.join(
    [
        os.path.join(lit_config.params["build"], "bin"),
        lit_config.params["llvm_tools"],
        config.environment.get("PATH", ""),
    ]
)
