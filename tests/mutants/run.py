"""run.py: tries mutants: the unmutated programs first, then each mutant with its killers until one of them fails."""
import concurrent.futures
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

LEAST_LIMIT_S = 8   # a program that takes longer hangs; or 15 times what the unmutated one took
ROUNDS = 3          # a mutant that should be killed by chance gets as many
LISTED_EFFORT = 0.1 # the share of schedules and seeds for those on the list of survivors


class Result:
    """What a run of a killer showed. `how`: in words, why it failed; empty when it passed."""

    def __init__(self, killer, how, seconds, reached):
        self.killer, self.how, self.seconds, self.reached = killer, how, seconds, reached


def split_killer(killer):
    """KIND/PROGRAM[@SCALE] [ARGUMENT...] -> program, scale, arguments."""
    words = killer.split()
    program, _, scale = words[0].partition("@")
    return program, scale, words[1:]


def how_it_failed(status, output):
    """One phrase: how many schedules a model took, or the line with which a test failed."""
    found = re.search(r"^FAILED (\S+): (\d+) schedules?, ([A-Za-z ]+)", output, re.M)
    if found:
        return "%s, schedule %s: %s" % (found.group(1), found.group(2), found.group(3).strip().lower())
    for pattern in (r"AddressSanitizer: ([\w-]+)", r"ThreadSanitizer: ([\w ]+?) \(", r"invariant broken: (.*)",
                    r"^\S+:\d+: (?:expected: )?(.*)", r"^FAILED\s+(\S+)"):
        found = re.search(pattern, output, re.M)
        if found:
            return found.group(1).strip()[:60]
    return "signal %d" % -status if status < 0 else "status %d" % status


def with_effort(arguments, effort):
    """A share of the schedules of a model, or of the seeds of the simulator."""
    words = list(arguments)
    for i in range(1, len(words)):
        if words[i - 1] in ("random", "--seeds"):
            words[i] = str(max(1, int(int(words[i]) * effort)))
    return words


class Runner:
    def __init__(self, build, effort):
        self.build, self.effort = build, effort
        self.limit = {}  # by killer, seconds
        self.lock = threading.Lock()

    def run(self, killer, number, limit, effort=1):
        program, scale, arguments = split_killer(killer)
        env = dict(os.environ, SK_MUTANT=str(number), SKUA_TEST_SCALE=scale or "20",
                   ASAN_OPTIONS="detect_leaks=1", TSAN_OPTIONS="exitcode=66")
        words = [os.path.abspath(self.build.program(program))] + with_effort(arguments, self.effort * effort)
        if program.startswith(("asan", "tsan")):
            words = ["setarch", "-R"] + words
        with tempfile.NamedTemporaryFile() as flag, tempfile.TemporaryFile("w+", errors="replace") as out:
            flag.write(b"\0\0\0\0")
            flag.flush()
            env["SK_MUTANT_REACHED"] = flag.name
            begin = time.time()
            process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env,
                                       start_new_session=True)
            try:
                status = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                status = None
            try:  # children that a test forked die with it
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            seconds = time.time() - begin
            flag.seek(0)
            reached = flag.read(4) != b"\0\0\0\0"
            out.seek(0)
            output = out.read()
        how = "" if status == 0 else "does not end" if status is None else how_it_failed(status, output)
        return Result(killer, how, seconds, reached)

    def try_unmutated(self, killers):
        """Every killer must pass without a mutant. Returns the failures; notes how long each may take."""
        failed = []
        for killer in killers:
            result = self.run(killer, 0, 240)
            self.limit[killer] = max(LEAST_LIMIT_S, 15 * result.seconds)
            if result.how:
                failed.append(result)
        return failed

    def run_to_the_end(self, killer, number, effort):
        """A program that does not end in time has hung only if the unmutated one, now, is far from the limit."""
        limit = self.limit[killer]
        while True:
            result = self.run(killer, number, limit, effort)
            if result.how != "does not end" or limit > 600:
                return result
            unmutated = self.run(killer, 0, limit, effort)
            if not unmutated.how and unmutated.seconds < limit / 4:
                return result
            limit *= 4

    def try_mutant(self, mutant, killers, rounds, effort):
        """(the result that killed it or None, whether any killer came by its code)."""
        reached = False
        for turn in range(rounds):
            for killer in killers:
                if turn and killer.startswith("model/"):
                    continue  # the same each time
                result = self.run_to_the_end(killer, mutant.number, effort)
                reached |= result.reached
                if result.how and result.reached:
                    return result, True
        return None, reached

    def try_all(self, work, jobs, report):
        """work: (mutant, killers, rounds, effort). Calls report(mutant, result, reached) for each, one at a time."""
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(self.try_mutant, *item): item[0] for item in work}
            for future in concurrent.futures.as_completed(futures):
                report(futures[future], *future.result())
