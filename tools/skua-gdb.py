"""gdb commands for fibers:  (gdb) source tools/skua-gdb.py

    skua-fiber-bt FIBER     where a parked fiber stands; FIBER is an expression for its sk_fiber *

Works on a live process and on the kernel's core files: nothing of the program is
changed.  (gdb's own generate-core-file leaves out any megabyte with a guard page.)
gdb is made to believe, for the time of one backtrace, that the newest frame of
the selected thread was called from where the fiber left.  Do not use it on a
fiber that is running: its saved context is an old one.
"""

import gdb
from gdb.unwinder import Unwinder, register_unwinder

REGISTERS = {"i386:x86-64": ("rsp", "rbp", "rip"), "aarch64": ("sp", "x29", "pc")}


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ParkedFiberUnwinder(Unwinder):
    """Off (context is None) except inside of a skua-fiber-bt."""

    def __init__(self):
        super().__init__("skua parked fiber")
        self.context = None
        self.newest = None

    def __call__(self, pending):
        if self.context is None:
            return None
        names = REGISTERS.get(pending.architecture().name())
        if names is None:
            return None
        sp, pc = pending.read_register(names[0]), pending.read_register(names[2])
        if (int(sp), int(pc)) != self.newest:
            return None
        info = pending.create_unwind_info(FrameId(sp, pc))
        for name, field in zip(names, ("sp", "frame", "pc")):
            word = self.context[field]
            info.add_saved_register(name, word.cast(pending.read_register(name).type))
        return info


unwinder = ParkedFiberUnwinder()
register_unwinder(None, unwinder, replace=True)


class FiberBacktrace(gdb.Command):
    """Backtrace of a parked fiber: skua-fiber-bt FIBER (an expression for its sk_fiber *)."""

    def __init__(self):
        super().__init__("skua-fiber-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        fiber = gdb.parse_and_eval("(struct sk_fiber *)(%s)" % argument).dereference()
        context = fiber["context"]
        if int(context["sp"]) == 0:
            print("never suspended")
            return
        if int(context["pc"]) == 0:
            print("this build switches by ucontext; look at *(ucontext_t *)%s" % context["sp"])
            return
        frame = gdb.newest_frame()
        names = REGISTERS[frame.architecture().name()]
        unwinder.newest = (int(frame.read_register(names[0])), int(frame.read_register(names[2])))
        unwinder.context = context
        try:
            gdb.invalidate_cached_frames()
            lines = gdb.execute("with backtrace past-main on -- backtrace", to_string=True).splitlines()
        finally:
            unwinder.context = None
            gdb.invalidate_cached_frames()
        print("owner %s, stack of %d KiB" % (fiber["owner"], 16 << int(fiber["stack"]["cls"])))
        print("\n".join(lines[1:]))  # the first frame is the thread's own


FiberBacktrace()
