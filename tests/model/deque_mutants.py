#!/usr/bin/env python3
"""deque_mutants.py: are the deques' tests able to fail?

    tests/model/deque_mutants.py [NAME...]      from the root of the tree; needs g++, gcc, clang, relacy-dev

Each mutant is one known fault: in a copy of one header, the first `old` at or
after `anchor` becomes `new`. A mutant must be killed by the models, the unit
tests or the stress test, as its row says; "none" marks those that no tool at hand can kill,
and the reason stands in src/deque/README.md, "Survivors".
"""
import os
import shutil
import subprocess
import sys
import tempfile

MUTANTS = [
    # name, header, anchor, old, new, killed by
    ("taskq-publish-relaxed", "taskq.h", "[DQ-R1] release;", "sk_store_rel", "sk_store_rlx", "model"),
    ("taskq-bottom-relaxed", "taskq.h", "[DQ-A1] acquire;", "sk_load_acq", "sk_load_rlx", "model"),
    ("taskq-grown-relaxed", "taskq.h", "[DQ-R2] release;", "sk_store_rel", "sk_store_rlx", "model"),
    ("taskq-buffer-relaxed", "taskq.h", "[DQ-A2] acquire;", "sk_load_acq", "sk_load_rlx", "model"),
    ("taskq-steal-relaxed", "taskq.h", "[DQ-R3] release;", "sk_cas_rel", "sk_cas_rlx", "none"),
    ("taskq-room-relaxed", "taskq.h", "[DQ-A3] acquire;", "sk_load_acq", "sk_load_rlx", "none"),
    ("taskq-take-relaxed", "taskq.h", "[DQ-A4] acquire;", "sk_cas_acq", "sk_cas_rlx", "none"),
    ("taskq-take-by-store", "taskq.h", "[DQ-A4] acquire;", "sk_cas_acq(&q->top, &top, top + 1)",
     "(sk_store_rlx(&q->top, top + 1), true)", "model"),
    ("taskq-freed-at-once", "taskq.h", "", "", "", "model"),  # -DMUTANT_FREE_AT_ONCE
    ("taskq-buffer-before-bottom", "taskq.h", "[DQ-A1] acquire;",
     ("int64_t queued", "const sk_taskq_buffer *buffer = sk_load_acq(&q->buffer);"),
     ("const sk_taskq_buffer *buffer = sk_load_acq(&q->buffer); int64_t queued", ""), "model"),
    ("taskq-unsigned", "taskq.h", "int64_t queued = (int64_t)(sk_load_acq", "if (queued <= 0)", "if (queued == 0)",
     "model"),
    ("taskq-takes-all", "taskq.h", "uint32_t n = ", "(uint64_t)(queued + 1) / 2", "(uint64_t)queued", "unit"),
    ("taskq-half-rounded-down", "taskq.h", "uint32_t n = ", "queued + 1", "queued", "unit"),
    ("taskq-wrap", "taskq.h", "bool sk_taskq_check", "(int64_t)(top - q->top_seen) < 0", "top < q->top_seen", "unit"),
    ("taskq-grow-copies-too-few", "taskq.h", "sk_taskq_grow", "i != bottom", "i != bottom - 1", "unit"),
    ("taskq-overfill", "taskq.h", "int sk_taskq_push", "> buffer->mask", "> buffer->mask + 1", "unit"),
    ("jobring-pop-unfenced", "jobring.h", "[JR-F1] full", "sk_fence_sc()", "(void)0", "model"),
    ("jobring-steal-unfenced", "jobring.h", "[JR-F2] full", "sk_fence_sc()", "(void)0", "model"),
    ("jobring-push-relaxed", "jobring.h", "[JR-R1] release;", "sk_store_rel", "sk_store_rlx", "model"),
    ("jobring-bottom-relaxed", "jobring.h", "[JR-A2] acquire;", "sk_load_acq", "sk_load_rlx", "model"),
    ("jobring-steal-weak", "jobring.h", "[JR-S2] seq_cst;", "sk_cas_sc", "sk_cas_ar", "none"),
    ("jobring-pop-weak", "jobring.h", "[JR-S1] seq_cst;", "sk_cas_sc", "sk_cas_ar", "none"),
    ("jobring-pop-bottom-relaxed", "jobring.h", "[JR-R2] release;", "sk_store_rel", "sk_store_rlx", "none"),
    ("jobring-last-without-race", "jobring.h", "[JR-S1] seq_cst;", "sk_cas_sc(&ring->top, &top, next)",
     "(sk_store_sc(&ring->top, next), true)", "model"),
    ("jobring-full-relaxed", "jobring.h", "[JR-A1] acquire;", "sk_load_acq", "sk_load_rlx", "none"),
    ("jobring-bottom-not-restored", "jobring.h", "[JR-R3] release;", "sk_store_rel(&ring->bottom, next);", "", "unit"),
    ("jobring-stolen-not-restored", "jobring.h", "[JR-R4] release;", "sk_store_rel(&ring->bottom, bottom + 1);", "",
     "model"),
    ("jobring-unsigned", "jobring.h", "int64_t below", "if (sk_likely(below > 0))", "if (sk_likely(below != 0))",
     "model"),
    ("jobring-empty-pop-underflows", "jobring.h", "Top only grows", "if (bottom == sk_load_rlx(&ring->top)) return NULL;",
     "if (bottom == sk_load_rlx(&ring->top)) { sk_store_rlx(&ring->bottom, bottom - 1); return NULL; }", "unit"),
    ("inject-push-relaxed", "inject.h", "[IN-R1] release;", "sk_cas_rel", "sk_cas_rlx", "model"),
    ("inject-take-relaxed", "inject.h", "[IN-A1] acquire;", "sk_xchg_acq", "sk_xchg_rlx", "model"),
    ("inject-first-read-late", "inject.h", "return before == NULL", "before == NULL", "oldest->next == NULL", "stress"),
    ("inject-not-turned", "inject.h", "[IN-A1] acquire;", "sk_inject_reverse", "", "unit"),
    ("bounded-push-relaxed", "bounded.h", "[BQ-R1] release;", "sk_cas_ar", "sk_cas_acq", "model"),
    ("bounded-push-sees-relaxed", "bounded.h", "[BQ-R1] release;", "sk_cas_ar", "sk_cas_rel", "model"),
    ("bounded-pop-relaxed", "bounded.h", "[BQ-A1] acquire,", "sk_cas_ar", "sk_cas_acq", "model"),
    ("bounded-pop-sees-relaxed", "bounded.h", "[BQ-A6] acquire;", "sk_load_acq", "sk_load_rlx", "model"),
    ("bounded-full-sees-relaxed", "bounded.h", "[BQ-A5] acquire;", "sk_load_acq", "sk_load_rlx", "none"),
    ("bounded-sure-relaxed", "bounded.h", "[BQ-R2] release;", "sk_cas_rel", "sk_cas_rlx", "model"),
    ("bounded-hint-relaxed", "bounded.h", "[BQ-R3] release;", "sk_store_rel", "sk_store_rlx", "model"),
    ("bounded-look-sure-relaxed", "bounded.h", "[BQ-A2] acquire;", "sk_load_acq", "sk_load_rlx", "model"),
    ("bounded-look-hint-relaxed", "bounded.h", "[BQ-A3] acquire;", "sk_load_acq", "sk_load_rlx", "model"),
    ("bounded-seen-relaxed", "bounded.h", "[BQ-R4] release;", "sk_store_rel", "sk_store_rlx", "none"),
    ("bounded-seen-read-relaxed", "bounded.h", "[BQ-A4] acquire;", "sk_load_acq", "sk_load_rlx", "none"),
    ("bounded-one-too-many", "bounded.h", "is it, by where head really is?", "< (int64_t)q->bound",
     "<= (int64_t)q->bound", "unit"),
    ("bounded-same-lap", "bounded.h", "[BQ-A1] acquire,", "sk_bounded_lap(q, at) + 1", "sk_bounded_lap(q, at)", "unit"),
    ("bounded-waits-for-pusher", "bounded.h", "go on without him. */\n        at =",
     "at + (sk_bounded_laps_past(q, word, at) >= 0)", "at", "unit"),
    ("bounded-pop-stops-at-gap", "bounded.h", "others have gone on without us", "laps_past(q, word, at) > 0",
     "laps_past(q, word, at) > 99", "unit"),
    ("bounded-hint-trusted", "bounded.h", "[BQ-A3] acquire;", "(int64_t)(hint - sure) > 0 ? hint : sure", "hint", "unit"),
    ("bounded-lag-unbounded", "bounded.h", "[BQ-R3] release;", ">= SK_BOUNDED_LAG", ">= (1 << 30)", "unit"),
]


def run(command, seconds):
    """0 passed, anything else failed; a test that hangs has failed too."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return -1


def build(command):
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("does not compile: %s\n%s" % (" ".join(command), done.stderr[-2000:]))


def mutate(folder, header, anchor, old, new):
    path = os.path.join(folder, "deque", header)
    with open(path) as f:
        text = f.read()
    start = text.index(anchor)
    for before, after in zip(old, new) if isinstance(old, tuple) else [(old, new)]:
        at = text.index(before, start)
        text = text[:at] + after + text[at + len(before):]
        start = at + len(after)
    with open(path, "w") as f:
        f.write(text)


def killers(folder, name, header, expected, schedules):
    """Which of the tests fail with the headers of this folder."""
    found = []
    only = header[:-2]
    flags = ["-DMUTANT_FREE_AT_ONCE"] if name == "taskq-freed-at-once" else []
    model = os.path.join(folder, "model")
    build(["g++", "-std=c++11", "-w", "-O1", "-fno-lifetime-dse", "-DSK_MODEL"] + flags +
          ["-I" + folder, "-Isrc", "-Itests", "tests/model/deque.cpp", "-o", model])
    if run([model, "random", str(schedules), only], 120):
        found.append("model")
    unit = os.path.join(folder, "unit")
    source = "tests/unit/deque_bounded.c" if only == "bounded" else "tests/unit/deque.c"
    build(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-w", "-O1", "-DSK_PLAIN_RUNNER", "-I" + folder, "-Isrc", "-Itests",
           source, "tests/support/plain_main.c", "src/base/panic.c", "-o", unit])
    if run([unit, only], 20):
        found.append("unit")
    if expected == "stress":  # ThreadSanitizer's: between two atomic steps the models do not look
        stress = os.path.join(folder, "stress")
        build(["clang", "-std=gnu11", "-D_GNU_SOURCE", "-w", "-O1", "-fsanitize=thread", "-DSK_PLAIN_RUNNER",
               "-I" + folder, "-Isrc", "-Itests", "tests/stress/deque.c", "tests/support/plain_main.c",
               "src/base/panic.c", "src/os/membarrier.c", "-pthread", "-o", stress])
        os.environ["SKUA_TEST_SCALE"] = "50"
        if run([stress, only], 120):
            found.append("stress")
    return found


def main():
    wrong = 0
    chosen = [m for m in MUTANTS if not sys.argv[1:] or m[0] in sys.argv[1:]]
    for name, header, anchor, old, new, expected in chosen:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree("src/deque", os.path.join(folder, "deque"))
            if old:
                mutate(folder, header, anchor, old, new)
            found = killers(folder, name, header, expected, 30000)
            good = expected in found if expected != "none" else not found
            wrong += not good
            print("%-8s %-30s killed by: %-12s expected: %s" %
                  ("ok" if good else "WRONG", name, " ".join(found) or "none", expected), flush=True)
    print("%d mutants, %d not as expected" % (len(chosen), wrong))
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
