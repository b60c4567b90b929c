"""killers.py: which programs are tried on a mutant of which file, the cheapest first.

A killer is KIND/PROGRAM with its arguments; @N after the program sets SKUA_TEST_SCALE=N. A mutant is killed when the
program fails, crashes, or does not end. Which one kills which mutant is in killers.txt, written by
`tools/test-mutants --write`; that one is tried first.
"""

# The real code under Relacy: weak memory, all interleavings of small scenarios.
TASKQ, JOBRING = "model/deque random 40000 taskq", "model/deque random 60000 jobring"
INJECT, BOUNDED = "model/deque random 60000 inject", "model/deque random 40000 bounded"
CLAIM, SLOT = "model/timer random 60000 claim", "model/timer random 60000 slot"


def model(name, schedules):
    """First a few schedules of every scenario of a program: most mutants need no more."""
    return ["model/%s random %d" % (name, n) for n in (300, schedules)]


STATE, JOIN, MEM = model("state", 20000), model("join", 20000), model("mem", 20000)
PARKING, BLOCKING, RETIRE = model("parking", 10000), model("blocking", 10000), model("retire", 10000)
POOL, COUNT, JOB, MUTEX = model("pool", 10000), model("count", 10000), model("job", 10000), model("mutex", 10000)
GROUP = model("group", 10000) + ["model/group bound 2 group-errors", "model/group bound 2 group-cause"]
STREAM, LANE, FAULT = model("stream", 10000), model("lane", 10000), model("fault", 10000)
SLEEPER, CHAN, SELECT = model("sleeper", 10000), model("chan", 10000), model("select", 10000)
TICKER = model("ticker", 20000) + ["model/ticker exhaustive ticker-reset", "model/ticker exhaustive ticker-helped"]
LOCKS, CONTEXT = model("locks", 10000), model("context", 10000) + ["model/context bound 1 context-nested"]
ORDER = ["model/ways bound 1 order-drop-alone", "model/ways random 10000 order"]
STRAIGHT = ["model/ways bound 1 straight-stop"]
STORED = ["model/ways bound 1 stored-own", "model/ways bound 1 stored-cancel"]

# The whole runtime in the simulator: late stores, but no early loads. It stops at the first seed that fails.
SIM = "sim/all --jobs 1 --failures 1 --seeds 2500"
FREEZE = "sim/all --jobs 1 --failures 1 --seeds 1500 --strategy freeze"
LATE = "sim/all --jobs 1 --failures 1 --seeds 1500 --strategy pct3 --memory tso"
RACE = "sim/all --jobs 1 --failures 1 --seeds 20000 --scenario race"
WAITS = ["sim/all --jobs 1 --failures 1 --seeds 2500 --scenario " + name for name in ("channels", "locks", "contexts")]
CHANNELS, LOCKED, CONTEXTS = WAITS
POOLS = ["sim/all --jobs 1 --failures 1 --seeds 1000 --scenario " + name for name in ("pool", "full", "poolend")]

# The whole library on real processors, which are x86: they see faults, but no weak order.
TASKS = ["unit/task", "unit/task_cancel", "unit/runtime_stop", "unit/blocking", "unit/sched", "unit/task_deadline",
         "unit/task_time", "unit/runtime", "unit/pool", "unit/pool_wait"]
STRESS = ["stress/runtime_race@20", "stress/runtime@20", "stress/runtime_end@20", "stress/pool@20"]

BY_FILE = {
    "deque/taskq.h": [TASKQ, "model/newest random 20000", "unit/deque taskq", "stress/deque@20 taskq"],
    "deque/jobring.h": [JOBRING, "unit/deque jobring", "stress/deque@20 jobring"],
    "deque/inject.h": [INJECT, "unit/deque inject", "stress/deque@20 inject", "tsan/stress-deque@50 inject"],
    "deque/bounded.h": [BOUNDED, "unit/deque_bounded", *POOL, "unit/pool"] + POOLS,
    "timer/wheel.h": ["unit/timer", "unit/timer_slot"],
    "timer/wheel.c": ["unit/timer", "unit/timer_slot"],
    "timer/claim.h": [CLAIM, SLOT, "unit/timer_slot"],
    "timer/slot.h": [SLOT, "unit/timer_slot", "asan/stress-timer@5", SIM],
    "timer/timers.h": [SLOT, "unit/timer_slot", "unit/task_time", *STATE, *TICKER, SIM],
    "timer/timers.c": [SLOT, "unit/timer_slot", "unit/task_time", *TICKER, "asan/stress-timer@5", *STATE, SIM],
    "mem/slab.c": [*MEM, "unit/mem", "stress/mem@5", SIM],
    "mem/lazy_slab.c": ["unit/mem", "unit/faults", SIM],
    "mem/stack.c": ["unit/mem", "unit/faults", SIM],
    "mem/arena.c": [*MEM, "unit/mem", "stress/mem@5", SIM],
    "mem/tagstack.h": [*MEM, "unit/mem", SIM, "stress/mem@1"],
    "os/once.h": [*BLOCKING, "unit/os", "unit/faults", SIM],
    "os/membarrier.c": ["unit/os"],
    "fiber/overflow.c": ["unit/task"],
    "pool/slots.c": [*POOL, *JOB, *ORDER, *STRAIGHT, "unit/pool", "unit/pool_wait", "unit/pool_sub", SIM] + POOLS,
    "pool/submit.c": [*POOL, *JOB, *STRAIGHT, "unit/pool", "unit/pool_wait", "unit/pool_limit", SIM] + POOLS,
    "pool/submit_with.c": [*POOL, *JOB, "unit/pool", "unit/pool_wait", "unit/pool_limit", SIM] + POOLS,
    "pool/room.c": [*POOL, *JOB, "unit/pool", "unit/pool_wait", "unit/pool_limit", SIM] + POOLS,
    "pool/life.c": [*POOL, *JOB, "unit/pool", "unit/pool_wait", "unit/pool_limit", SIM] + POOLS,
    "pool/create.c": [*POOL, *JOB, "unit/pool", "unit/pool_wait", "unit/pool_limit", SIM] + POOLS,
    "pool/cancel.c": [*POOL, *JOB, *STORED, "unit/pool", "unit/pool_wait", "unit/pool_limit", SIM] + POOLS,
    "pool/pool.h": [*POOL, *JOB, "unit/pool", SIM] + POOLS,
    "pool/counts.c": [*POOL, *JOB, "unit/pool", SIM],
    "pool/job.c": [*JOB, "model/job bound 1 job-then", "unit/future", "unit/retry", SIM],
    "pool/attempt.c": [*JOB, "model/job bound 1 job-run-within", "unit/future", "unit/retry", SIM],
    "pool/job.h": [*JOB, "model/job bound 1 job-then", "unit/future", SIM],
    "pool/future.c": [*JOB, "model/job bound 1 job-then", "unit/future", SIM],
    "pool/waitq.c": [*POOL, "unit/pool_wait", "unit/pool", SIM] + POOLS,
    "pool/waitq.h": [*POOL, "unit/pool_wait", SIM] + POOLS,
    "pool/group.c": [*GROUP, "unit/group", SIM],
    "pool/stream.c": [*STREAM, "unit/stream", SIM],
    "pool/lanes.c": [*LANE, "unit/lanes", SIM],
    "pool/fault.c": [*FAULT, "unit/fault_choice", SIM],
    "pool/storage.c": [*STORED, "unit/pool_stored", SIM],
    "pool/earliest.h": [*ORDER, "unit/pool_order", SIM],
    "sync/mutex.c": [*MUTEX, "unit/mutex", SIM],
    "sync/locker.c": ["unit/locker", SIM],
    "os/lock.h": [*SLEEPER, *CHAN, *LOCKS, CHANNELS],
    "sync/sleeper.h": [*SLEEPER, *LOCKS, *CHAN, *SELECT, CHANNELS],
    "sync/sleeper.c": [*SLEEPER, *LOCKS, *CHAN, *SELECT, CHANNELS],
    "sync/turn.c": [*LOCKS, "unit/lock_waits", "unit/semaphore", LOCKED],
    "sync/chan.c": [*CHAN, "model/chan bound 2 chan-close-late", "unit/chan", "unit/chan_waits", CHANNELS],
    "sync/select.c": [*SELECT, "unit/select", CHANNELS],
    "sync/semaphore.c": [*LOCKS, "unit/semaphore", LOCKED],
    "sync/waitgroup.c": [*LOCKS, "unit/gather", "unit/lock_waits", LOCKED],
    "sync/rwlock.c": [*LOCKS, "unit/rwlock", LOCKED],
    "sync/cond.c": [*LOCKS, "unit/cond", LOCKED],
    "sync/parking.c": [*LOCKS, "unit/parking"],
    "sync/barrier.c": [*LOCKS, "unit/gather", "unit/lock_waits"],
    "sync/once.c": [*LOCKS, "unit/once", "unit/lock_waits"],
    "sync/context.c": [*CONTEXT, "unit/context", "unit/context_tasks", CONTEXTS],
    "sync/context_task.c": [*CONTEXT, "unit/context", "unit/context_tasks", "unit/context_calls", CONTEXTS],
    "sync/local.c": ["unit/local"],
    "sync/ticker.c": [*TICKER, "unit/ticker", "unit/ticker_hands"],
    "sync/favour.h": [*TICKER, "unit/ticker", "unit/ticker_hands"],
    "sync/chan.h": [*TICKER, "unit/ticker", "unit/ticker_hands", *CHAN],
    "sync/signals.c": ["unit/signals"],
    "sync/cycle.c": ["unit/mutex", "unit/deadlock"],
    "runtime/extra.c": [*CONTEXT, "unit/context_tasks", "unit/context_calls", "unit/nopark", CONTEXTS],
    "runtime/deadlock.c": ["unit/deadlock", SIM],
    "runtime/task_state.h": [*STATE, *JOIN, "unit/task", "unit/task_cancel", "unit/task_deadline", SIM],
    "runtime/task_join.h": [*JOIN, "unit/task", SIM],
    "runtime/join.c": [*JOIN, "unit/task", "unit/task_deadline", SIM],
    "runtime/park.c": [*JOIN, *SLEEPER, *CONTEXT, "unit/task", "unit/task_cancel", "unit/sched", SIM] + STRESS,
    "runtime/idle.c": [*PARKING, SIM, FREEZE, LATE, "unit/sched", "unit/runtime"],
    "runtime/monitor.c": [*PARKING, *BLOCKING, SIM, FREEZE, "unit/blocking", "unit/sched", "unit/runtime"],
    "runtime/monitor.h": [*PARKING, SIM, LATE],
    "runtime/blocking.c": [*BLOCKING, "unit/blocking", SIM],
    "runtime/machine.c": [*RETIRE, *BLOCKING, "unit/blocking", "unit/runtime", SIM, FREEZE],
    "runtime/workers.c": [*RETIRE, "unit/runtime", SIM, "asan/stress-runtime@50"],
    "runtime/sched.c": [SIM, FREEZE] + TASKS + STRESS,
    "runtime/sched.h": [*COUNT, *RETIRE, SIM],
    "runtime/expiry.c": ["unit/task_time", "unit/task_deadline", *RETIRE, *TICKER, "unit/ticker", "unit/ticker_hands",
                         "unit/deadlock", SIM, FREEZE, LATE],
    "runtime/stats.c": [*COUNT, SIM],
    "runtime/runtime.c": [*COUNT, "unit/runtime", SIM],
    "runtime/end.c": [*COUNT, *JOIN, "unit/task", "unit/runtime_stop", "unit/pool", SIM, LATE],
    "runtime/shutdown.c": [*COUNT, "unit/runtime_stop", "unit/runtime", "unit/ticker", "unit/ticker_hands", SIM, LATE,
                           RACE],
}


def killers_of(mutant):
    return BY_FILE.get(mutant.path) or [SIM] + TASKS + STRESS


def is_repeatable(killer):
    """The same result at each run: so a survivor that is on the list can be tried with it."""
    return killer.split("/")[0] in ("model", "sim", "unit")


# For --quick: a fixed few, of each kind, with killers that take no time to build or run.
QUICK = """DQ_R1_rlx DQ_A2_rlx taskq_take_by_store taskq_overshoots JR_F1_none JR_F2_none JR_R1_rlx
    jobring_last_without_race IN_R1_rlx IN_A1_rlx BQ_A3_rlx BQ_R3_rlx bounded_same_lap TM_F1_none TM_F2_none TM_R1_rlx
    TM_R8_rel slot_fire_by_store TM_A3_rlx slot_tag_read_late""".split()
