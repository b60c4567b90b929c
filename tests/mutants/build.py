"""build.py: builds the programs that kill mutants, each once, from the instrumented tree (-DMUTANTS_LIVE).

A killer is named KIND/PROGRAM: model/deque is tests/model/deque.cpp, unit/task is tests/unit/task.c, asan/stress-timer
is tests/stress/timer.c under AddressSanitizer, tsan/stress-deque is tests/stress/deque.c under ThreadSanitizer, sim/all
is the simulator.
"""
import glob
import os
import subprocess

C = ("-std=gnu11 -D_GNU_SOURCE -O1 -w -pthread -ftls-model=initial-exec -DSK_PLAIN_RUNNER -DSK_FAULTS -DSK_DEBUG"
     " -DMUTANTS_LIVE")
# Relacy optimized takes twice as long to compile, and saves a third of the run.
CXX = "-std=c++11 -O0 -w -fno-lifetime-dse -DSK_MODEL -DMUTANTS_LIVE"
VARIANTS = {"plain": ("gcc", ""), "asan": ("gcc", " -g -fsanitize=address -fno-omit-frame-pointer"),
            "tsan": ("clang", " -g -fsanitize=thread")}
VARIANT_OF = {"unit": "plain", "stress": "plain", "asan": "asan", "tsan": "tsan"}


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


class Build:
    """Writes a build.ninja for the programs that are wanted, and runs it."""

    def __init__(self, folder, copy, jobs):
        self.folder, self.copy, self.jobs = folder, copy, jobs
        self.lines, self.made, self.sim = [], set(), False

    def program(self, killer):
        if killer.startswith("sim/"):
            return os.path.join(self.folder, "sim", "sim")
        return os.path.join(self.folder, "bin", killer.replace("/", "-"))

    def edge(self, target, rule, inputs, **variables):
        if target in self.made:
            return target
        self.made.add(target)
        self.lines.append("build %s: %s %s" % (target, rule, " ".join(inputs)))
        self.lines += ["  %s = %s" % v for v in variables.items()]
        return target

    def object(self, source, variant):
        """One object of a variant; of the instrumented tree, of the tests, or live.c."""
        name = source.replace(self.copy + "/", "src/").replace("/", "-")
        target = os.path.join(self.folder, "obj", variant, name + ".o")
        compiler, more = VARIANTS[variant]
        return self.edge(target, "cc", [source], compiler=compiler, flags=C + more)

    def library(self, variant):
        sources = [s for kind in "cS" for s in glob.glob("%s/**/*.%s" % (self.copy, kind), recursive=True)]
        return [self.object(s, variant) for s in sorted(sources)]

    def test(self, killer, source, variant):
        compiler, more = VARIANTS[variant]
        objects = [self.object(s, variant) for s in (source, "tests/support/plain_main.c")]
        self.edge(self.program(killer), "link", objects + self.library(variant), compiler=compiler,
                  flags=more + " -pthread", libs="-lurcu-memb -lm")

    def model(self, killer, source):
        out = os.path.join(self.folder, "obj", "model-" + stem(source) + ".o")
        self.edge(out, "cc", [source], compiler="g++", flags=CXX)
        self.edge(self.program(killer), "link", [out, self.object(self.copy + "/live.c", "plain")], compiler="g++",
                  flags="-O1", libs="")

    def want(self, killer):
        """True when there is such a program to build."""
        kind, name = killer.split("/")
        if kind == "sim":
            self.sim = os.path.exists("tools/sim")
            return self.sim
        if kind == "model":
            source = "tests/model/%s.cpp" % name
        elif kind in ("unit", "stress"):
            source = "tests/%s/%s.c" % (kind, name)
        else:
            source = "tests/%s.c" % name.replace("-", "/", 1)
        if not os.path.exists(source):
            return False
        if kind == "model":
            self.model(killer, source)
        else:
            self.test(killer, source, VARIANT_OF[kind])
        return True

    def run(self):
        """Builds as much as can be built; the compilers' words are in build.log."""
        rules = ["rule cc",
                 "  command = $compiler $flags -I%s -Iinclude -Itests -MMD -MF $out.d -c $in -o $out" % self.copy,
                 "  depfile = $out.d", "  deps = gcc", "  description = $out",
                 "rule link", "  command = $compiler $flags $in $libs -o $out", "  description = $out", ""]
        path = os.path.join(self.folder, "build.ninja")
        with open(path, "w") as file:
            file.write("\n".join(rules + self.lines) + "\n")
        with open(os.path.join(self.folder, "build.log"), "w") as log:
            subprocess.run(["ninja", "-k", "0", "-j", str(self.jobs), "-f", path], stdout=log, stderr=subprocess.STDOUT)
            if self.sim:
                env = dict(os.environ, SKUA_SIM_SRC=self.copy, SKUA_SIM_BUILD=os.path.join(self.folder, "sim"),
                           SKUA_SIM_FLAGS="-DMUTANTS_LIVE -w")
                subprocess.run(["tools/sim", "--build"], env=env, stdout=log, stderr=subprocess.STDOUT)
