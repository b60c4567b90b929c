#!/usr/bin/env python3
"""timer_mutants.py: are the timers' tests able to fail?

    tests/model/timer_mutants.py [NAME...]      from the root of the tree; needs g++, gcc, relacy-dev

Each mutant is one known fault: in a copy of src/timer, the first `old` at or
after `anchor` becomes `new`. It must be killed by the models, the unit tests or
the stress test (with AddressSanitizer), as its row says; "none" marks those
that no tool at hand can kill, and src/timer/README.md, "Survivors", says why.
"""
import os
import shutil
import subprocess
import sys
import tempfile

W, C, S, T, H = "wheel.h", "claim.h", "slot.h", "timers.c", "timers.h"
MUTANTS = [
    # name, file, anchor, old, new, killed by
    ("wheel-rounds-down", W, "sk_tick_up(uint64_t", " + ((ns & (SK_TICK_NS - 1)) != 0)", "", "unit"),
    ("wheel-round-overflows", W, "sk_tick_up(uint64_t", "(ns >> SK_TICK_SHIFT) + ((ns & (SK_TICK_NS - 1)) != 0)",
     "(ns + SK_TICK_NS - 1) >> SK_TICK_SHIFT", "unit"),
    ("wheel-tick-overflows", W, "sk_tick_ns(uint64_t", "tick >> (64 - SK_TICK_SHIFT) ? UINT64_MAX : ", "", "unit"),
    ("wheel-later-hides-earlier", W, "sk_wheel_put", "if (when < w->due)", "if (w->due == SK_TICK_NEVER)", "unit"),
    ("wheel-near-edge", W, "sk_wheel_place", "w->tick < SK_WHEEL_NEAR_SLOTS", "w->tick <= SK_WHEEL_NEAR_SLOTS", "unit"),
    ("wheel-far-edge", "wheel.c", "sk_wheel_place_far", ">= SK_WHEEL_FAR_SLOTS", "> SK_WHEEL_FAR_SLOTS", "unit"),
    ("wheel-late-misplaced", "wheel.c", "sk_wheel_place_far", "if (tick < w->tick)", "if (0)", "unit"),
    ("wheel-slot-not-emptied", W, "sk_wheel_cancel", "sk_wheel_mark_empty(w, (size_t)(pprev - w->heads));", ";", "unit"),
    ("wheel-due-after-last-cancel", W, "sk_wheel_cancel", "if (--w->count == 0) w->due = SK_TICK_NEVER", "w->count--",
     "unit"),
    ("wheel-tied-levels", "wheel.c", "next_far", "w->tick >> shift;", "(w->tick >> shift) + 1;", "unit"),
    ("wheel-near-wrap", "wheel.c", "next_near", "after ? after : words", "words", "unit"),
    ("wheel-clock-backwards", "wheel.c", "sk_wheel_advance", "sk_max(now >> SK_TICK_SHIFT, w->tick)",
     "now >> SK_TICK_SHIFT", "unit"),
    ("wheel-window-does-not-roll", "wheel.c", "*tail = NULL;", "w->tick = last;", "", "unit"),
    ("wheel-cascade-unordered", "wheel.c", "static void cascade", "t->next = chain;\n        chain = t;",
     "t->next = NULL; if (!chain) chain = t; else { sk_timer *e = chain; while (e->next) e = e->next; e->next = t; }",
     "unit"),
    ("claim-leave-relaxed", C, "[TM-R1]", "sk_store_rel", "sk_store_rlx", "model"),
    ("claim-look-again-relaxed", C, "[TM-A2]", "sk_load_acq", "sk_load_rlx", "model"),
    ("claim-owner-unfenced", C, "[TM-F1] light", "sk_fence_light()", "(void)0", "model"),
    ("claim-enter-relaxed", C, "[TM-A1] acquire; pairs with [TM-R2] and [TM-R3].", "sk_load_acq", "sk_load_rlx", "model"),
    ("claim-release-relaxed", C, "[TM-R2] release", "sk_store_rel", "sk_store_rlx", "model"),
    ("claim-try-relaxed", C, "[TM-A4] acquire", "sk_cas_acq", "sk_cas_rlx", "none"),
    ("claim-claimer-unfenced", C, "[TM-F2] heavy", "sk_fence_heavy()", "(void)0", "model"),
    ("claim-inside-relaxed", C, "[TM-A3] acquire", "sk_load_acq", "sk_load_rlx", "model"),
    ("claim-back-off-relaxed", C, "[TM-R3] release", "sk_store_rel", "sk_store_rlx", "none"),
    ("claim-owner-walks-in", C, "sk_claim_enter_slow", "if (sk_load_acq(&c->claimed) == 0) return true;", "return true;",
     "model"),
    ("slot-look-relaxed", S, "[TM-A5] acquire", "sk_load_acq", "sk_load_rlx", "model"),
    ("slot-cancel-relaxed", S, "[TM-A6] acquire", "sk_cas_acq", "sk_cas_rlx", "none"),
    ("slot-again-relaxed", S, "[TM-R7] release", "sk_cas_rel", "sk_cas_rlx", "model"),
    ("slot-abandon-no-acquire", S, "[TM-R8] acquire", "sk_cas_ar", "sk_cas_rel", "model"),
    ("slot-abandon-no-release", S, "[TM-R8] acquire", "sk_cas_ar", "sk_cas_acq", "model"),
    ("slot-abandon-no-orphan", S, "[TM-R8] acquire", "if (sk_cas_ar(&s->word, &word, (uint64_t)SK_SLOT_ORPHAN)) return false",
     "return true", "model"),
    ("slot-taken-relaxed", S, "[TM-A8] acquire", "sk_load_acq", "sk_load_rlx", "model"),
    ("slot-armed-no-acquire", S, "[TM-R4], [TM-A7]", "sk_cas_ar", "sk_cas_rel", "model"),
    ("slot-armed-no-release", S, "[TM-R4], [TM-A7]", "sk_cas_ar", "sk_cas_acq", "none"),
    ("slot-freed-no-acquire", S, "[TM-R5] acquire", "sk_cas_ar", "sk_cas_rel", "model"),
    ("slot-freed-no-release", S, "[TM-R5] acquire", "sk_cas_ar", "sk_cas_acq", "model"),
    ("slot-let-go-no-acquire", S, "[TM-R6] acquire", "sk_cas_ar", "sk_cas_rel", "model"),
    ("slot-let-go-no-release", S, "[TM-R6] acquire", "sk_cas_ar", "sk_cas_acq", "model"),
    ("slot-fire-by-store", T, "static void fire", "if (!sk_slot_fire(s)) continue;",
     "sk_store_rlx(&s->word, (uint64_t)SK_SLOT_FIRING);", "model"),
    ("slot-tag-read-late", T, "static void fire", "node->expires = tag;", "node->expires = sk_load_rlx(&s->tag);", "model"),
    ("slot-swept-while-linked", T, "static void sweep_slot", "sk_wheel_cancel(&t->wheel, &s->node);", "", "model"),
    ("slot-link-read-late", T, "static void sweep(", "next = sk_load_rlx(&s->link); /* before the slot is free */\n"
     "        sweep_slot(t, s, haul);", "sweep_slot(t, s, haul);\n        next = sk_load_rlx(&s->link);", "stress"),
    ("slot-cancelled-late-pushed-twice", T, "bool sk_timers_cancel", "== SK_SLOT_ARMED) sk_inbox_push",
     "!= SK_SLOT_FIRING) sk_inbox_push", "stress"),
    ("slot-no-second-look", T, "static bool cancel_inside",
     "sk_slot_state(sk_slot_look(s)) == SK_SLOT_ARMED && sk_load_rlx(&s->home) == mine", "true", "stress"),
    ("slot-early-timeout-lost", T, "bool sk_timers_retry", "if (!sk_slot_retry(s, tick)) return false;", "return false;",
     "stress"),
    ("slot-home-not-moved", T, "static void sweep_slot", "sk_store_rlx(&s->home, t);", "", "unit"),
    ("inbox-push-relaxed", S, "[TM-R9] release", "sk_cas_rel", "sk_cas_rlx", "model"),
    ("inbox-hurry-relaxed", S, "[TM-R10] release", "sk_cas_rel", "sk_cas_rlx", "model"),
    ("inbox-hurry-only-when-earlier", S, "static inline void sk_inbox_hurry", "for (;;) {", "while (due < old) {", "model"),
    ("inbox-reset-relaxed", S, "[TM-A10] acquire", "sk_xchg_acq", "sk_xchg_rlx", "model"),
    ("inbox-take-relaxed", S, "[TM-A9] acquire", "sk_xchg_acq", "sk_xchg_rlx", "model"),
    ("timers-not-published", H, "sk_timers_leave(sk_timers *t)\n", "sk_claim_publish(&t->claim, sk_tick_ns(t->wheel.due));",
     "", "unit"),
    ("timers-next-not-exact", T, "static void collect", "sk_wheel_refresh(&t->wheel);", "", "unit"),
]


def mutated(row):
    _, name, anchor, old, new, _ = row
    text = open("src/timer/" + name).read()
    at = text.index(old, text.index(anchor))
    return text[:at] + new + text[at + len(old):]


def killers(row, build):
    """Which program of which kind tries this mutant: (kind, compile command, run command)."""
    c = ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-w", "-pthread", "-DSK_PLAIN_RUNNER", "-I" + build, "-Isrc", "-Itests"]
    rest = [build + "/timer/wheel.c", build + "/timer/timers.c", "src/base/panic.c", "src/os/membarrier.c",
            "tests/support/plain_main.c"]
    out = build + "/tried"
    if row[5] == "unit":
        for test in ("tests/unit/timer.c", "tests/unit/timer_slot.c"):
            yield c + ["-O1", test] + rest + ["-o", out], [out]
    elif row[5] == "stress":
        yield c + ["-O2", "-fsanitize=address", "tests/stress/timer.c"] + rest + ["-o", out], [out]
    else:
        yield ["g++", "-DSK_MODEL", "-I" + build, "-Isrc", "-Itests", "-O1", "-w", "tests/model/timer.cpp", "-o", out], \
            [out, "random", "60000"]


def killed(row):
    with tempfile.TemporaryDirectory() as build:
        shutil.copytree("src/timer", build + "/timer")
        with open(build + "/timer/" + row[1], "w") as file:
            file.write(mutated(row))
        for compile_it, run_it in killers(row, build):
            subprocess.run(compile_it, check=True)
            try:
                env = dict(os.environ, SKUA_TEST_SCALE="2" if row[5] == "stress" else "1")
                if subprocess.run(run_it, capture_output=True, env=env, timeout=60).returncode != 0:
                    return True
            except subprocess.TimeoutExpired:
                return True
    return False


def main():
    wrong = 0
    for row in MUTANTS:
        if len(sys.argv) > 1 and row[0] not in sys.argv[1:]:
            continue
        died = killed(row)
        fine = died == (row[5] != "none")
        wrong += not fine
        print("%-6s %s: %s" % ("ok" if fine else "WRONG", row[0], "killed by " + row[5] if died else "survives"), flush=True)
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
