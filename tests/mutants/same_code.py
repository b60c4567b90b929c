"""same_code.py: the instrumented tree with no mutant switched on compiles to the code of src.

So what the mutants lane tests is what ships. Compared is the disassembly, with relocations, of every object; the data
may differ in the texts of assertions, which quote the source.
"""
import glob
import os
import re
import subprocess

FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-w", "-c", "-fPIC", "-I.", "-ftls-model=initial-exec"]


def code_of(tree, path, object_path, include):
    """The instructions of one file, as lines. Compiled from within the tree, so that __FILE__ is the same."""
    subprocess.run(["gcc"] + FLAGS + ["-I" + include, path, "-o", object_path], cwd=tree, check=True)
    text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", object_path], check=True, capture_output=True,
                          text=True).stdout
    # Where in the strings an assertion's text stands is no code.
    return [re.sub(r"(\.rodata[.\w]*)[-+]0x[0-9a-f]+", r"\1", line) for line in text.splitlines()[2:]]


def compare(src, copy, scratch, include):
    """The sources whose code differs. One job; the caller may split the list."""
    differ = []
    os.makedirs(scratch, exist_ok=True)
    for source in sorted(glob.glob(src + "/**/*.c", recursive=True)):
        path = os.path.relpath(source, src)
        left = code_of(src, path, os.path.join(scratch, "left.o"), include)
        right = code_of(copy, path, os.path.join(scratch, "right.o"), include)
        if left != right:
            differ.append(path)
    return differ
