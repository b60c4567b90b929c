"""instrument.py: makes of src a tree in which every mutant is a switch.

The copy differs from src in two ways, and only there:

  orders   every ordered atomic gets a name of its own, after its label: sk_load_acq under [DQ-A1] becomes
           sk_load_acq__DQ_A1, which mutants.h defines as the call itself, or as the same call with a weaker order. So
           the list of these mutants is complete by construction: a new label is a new mutant.
  faults   each row of faults.py turns an expression or a statement into a choice between it and its faulty form.

A choice asks MUTANT(name). With -DMUTANT_name (for one name) that is the constant true, and false for all others.
With -DMUTANTS_LIVE it compares a number that live.c reads from the environment, so that one build serves all mutants.
With neither it is the constant false, and the copy compiles to the code of src: same_code.py shows that.

No line moves: what is inserted stands on the line of what it wraps.
"""
import os
import re

CALL = re.compile(r"\bsk_(?:(load|store|xchg|add|sub|or|and|cas)_(acq|rel|ar|sc)|fence_(sc|acq|rel|light|heavy))"
                  r"(?=\s*\()")
LABEL = re.compile(r"\[([A-Z][A-Z0-9]*-[A-Z]*[0-9]+[a-z]?)\]")
DEFINES = re.compile(r"^(?:[\s,]*(?:\[[A-Z][A-Z0-9]*-[A-Z]*[0-9]+[a-z]?\]))+")

# What an order is weakened to. A store has no acquire, a load no release.
WEAKER = {
    ("load", "acq"): ["rlx"], ("load", "sc"): ["acq", "rlx"],
    ("store", "rel"): ["rlx"], ("store", "sc"): ["rel", "rlx"],
    ("rmw", "acq"): ["rlx"], ("rmw", "rel"): ["rlx"],
    ("rmw", "ar"): ["acq", "rel", "rlx"], ("rmw", "sc"): ["ar", "rlx"],
}
C11 = {"rlx": "relaxed", "acq": "acquire", "rel": "release", "ar": "acq_rel", "sc": "seq_cst"}
ON_FAILURE = {"rlx": "relaxed", "acq": "acquire", "rel": "relaxed", "ar": "acquire"}
SKIPPED = {"base/atomic.h"}  # the facade itself


class NotThere(Exception):
    """A row of faults.py whose text is no longer in src."""


class Mutant:
    """One fault: `kind` is "order" or "fault"; `what` says it in words."""

    def __init__(self, name, kind, path, line, what):
        self.name, self.kind, self.path, self.line, self.what = name, kind, path, line, what
        self.number = 0


class Site:
    """One ordered call: text[start:end] is its name."""

    def __init__(self, start, end, operation, order, name):
        self.start, self.end, self.operation, self.order, self.name = start, end, operation, order, name
        self.call = ""


def split(text):
    """Two copies of a source, blanks elsewhere: the code without comments and strings, and the comments."""
    code, comments = [], []
    at, state = 0, ""
    while at < len(text):
        two, one = text[at:at + 2], text[at]
        if not state and two in ("/*", "//"):
            state = two
            chunk, to = two, comments
        elif state == "/*" and two == "*/":
            state, chunk, to = "", two, comments
        elif not state and one in "\"'":
            end = at + 1
            while text[end] != one:
                end += 2 if text[end] == "\\" else 1
            chunk, to = text[at:end + 1], None
        else:
            if state == "//" and one == "\n":
                state = ""
            chunk, to = one, comments if state else code
        blank = "".join("\n" if c == "\n" else " " for c in chunk)
        code.append(chunk if to is code else blank)
        comments.append(chunk if to is comments else blank)
        at += len(chunk)
    return "".join(code), "".join(comments)


def words(comment):
    return re.sub(r"[/*\s]+", " ", comment).strip()


def defined_in(comment):
    """The labels that a comment defines: those it begins with."""
    found = DEFINES.match(words(comment))
    return LABEL.findall(found.group(0)) if found else []


def labels_of(code, comments, line):
    """The labels of the statement that a line belongs to, and the line of the comment that has them. As in labels.awk:
    on the line itself, on the lines of the statement before it, in the comment right above."""
    def trailing(i):
        text = comments[i]
        while i + 1 < len(comments) and "*/" not in comments[i] and not code[i + 1].strip():
            i += 1
            text += " " + comments[i]
        return text

    spots = [line]
    above = line - 1
    while above >= 0 and code[above].strip() and not re.search(r"[;{}:]\s*\\?$", code[above].rstrip()):
        spots.append(above)
        above -= 1
    for i in spots:
        if comments[i].strip() and defined_in(trailing(i)):
            return defined_in(trailing(i)), i
    block = above
    while block >= 0 and not code[block].strip(" \t\\") and comments[block].strip():
        block -= 1
    block += 1
    # Several comments may stand above each other: the last that defines one counts.
    for i in range(above, block - 1, -1):
        if re.search(r"/\*|//", comments[i]) and defined_in(" ".join(comments[i:above + 1])):
            return defined_in(" ".join(comments[i:above + 1])), i
    return [], -1


def sites_of(path, text):
    """Every ordered call of a file, named after its label; the second under one label gets a `b`, and so on."""
    code, comments = split(text)
    code_lines, comment_lines = code.split("\n"), comments.split("\n")
    sites, used, taken = [], {}, set()
    for call in CALL.finditer(code):
        line = code.count("\n", 0, call.start())
        if re.search(r"^\s*(#\s*define|extern|void|static inline)\b.*$", code_lines[line][:call.start()]) and \
                code_lines[line].lstrip().startswith("#"):
            continue
        labels, spot = labels_of(code_lines, comment_lines, line)
        if not labels:
            raise SystemExit("%s:%d: %s has no label that is defined beside it" % (path, line + 1, call.group(0)))
        nth = used[spot] = used.get(spot, -1) + 1
        label = labels[min(nth, len(labels) - 1)].replace("-", "_")
        suffix = ""
        while label + suffix in taken:
            suffix = chr(ord(suffix or "a") + 1)
        taken.add(label + suffix)
        operation, order = (call.group(1), call.group(2)) if call.group(1) else ("fence", call.group(3))
        site = Site(call.start(), call.end(), operation, order, label + suffix)
        site.call, site.line = call.group(0), line + 1
        sites.append(site)
    return sites


def weaker(site):
    if site.operation == "fence":
        return ["none"]
    return WEAKER[(site.operation if site.operation in ("load", "store") else "rmw", site.order)]


def weakened_call(site, order):
    if order == "none":
        return "(void)0"
    mo = "SK_MO(%s)" % C11[order]
    if site.operation == "load":
        return "sk_load_((p), %s)" % mo
    if site.operation == "cas":
        return "sk_cas_((p), (e), (v), %s, SK_MO(%s))" % (mo, ON_FAILURE[order])
    return "sk_%s_((p), (v), %s)" % (site.operation, mo)


def site_macro(site):
    arguments = {"fence": "", "load": "p", "cas": "p, e, v"}.get(site.operation, "p, v")
    body = "%s(%s)" % (site.call, arguments)
    for order in reversed(weaker(site)):
        body = "(MUTANT(%s_%s) ? %s : %s)" % (site.name, order, weakened_call(site, order), body)
    return "#define %s__%s(%s) %s" % (site.call, site.name, arguments, body)


RELACY = {"rlx": "rl::mo_relaxed", "acq": "rl::mo_acquire", "rel": "rl::mo_release", "ar": "rl::mo_acq_rel",
          "sc": "rl::mo_seq_cst"}
FAILURE = {"rlx": "rlx", "acq": "acq", "rel": "rlx", "ar": "acq", "sc": "sc"}
METHOD = {"xchg": "exchange", "add": "fetch_add", "sub": "fetch_sub", "or": "fetch_or", "and": "fetch_and"}


def site_macro_model(site):
    """For Relacy the order is chosen, not the call: one call compiles sooner than four."""
    if site.operation == "fence":
        return site_macro(site)

    def chosen(of):
        choices = ["MUTANT(%s_%s) ? %s : " % (site.name, o, RELACY[of(o)]) for o in weaker(site)]
        return "".join(choices) + RELACY[of(site.order)]

    order = chosen(lambda o: o)
    call = "%s__%s" % (site.call, site.name)
    if site.operation == "load":
        return "#define %s(p) ((p)->load((%s), $))" % (call, order)
    if site.operation == "store":
        return "#define %s(p, v) ((p)->store((v), (%s), $))" % (call, order)
    if site.operation == "cas":
        return "#define %s(p, e, v) ((p)->compare_exchange_strong(*(e), (v), (%s), $, (%s), $))" % (
            call, order, chosen(FAILURE.get))
    return "#define %s(p, v) ((p)->%s((v), (%s), $))" % (call, METHOD[site.operation], order)


# ---- faults ----


def find_once(text, name, path, after, old):
    """Where the old text of a fault stands: the only one in the file, or the first after a place that is unique."""
    start = 0
    if after:
        if text.count(after) != 1:
            raise NotThere("%s: %r stands %d times in %s" % (name, after, text.count(after), path))
        start = text.index(after)
    elif text.count(old) != 1:
        raise NotThere("%s: %r stands %d times in %s" % (name, old, text.count(old), path))
    at = text.find(old, start)
    if at < 0:
        raise NotThere("%s: %r does not stand after %r in %s" % (name, old, after, path))
    return at


def one_line(text):
    return re.sub(r"\s*\n\s*", " ", text)


def fault_edits(text, row):
    """What is to be put around each old text of a fault: (start, end, before, after). An old text that ends with ; or }
    is a statement, any other an expression. A new text with ^ in it is put around the old one as it stands, with the
    question MUTANT(name) for each @."""
    on = "MUTANT(%s)" % row.name
    for after, old, new in row.edits:
        start = find_once(text, row.name, row.path, after, old)
        end = start + len(old)
        if "^" in new:
            before, behind = one_line(new.replace("@", on)).split("^")
        elif old.rstrip()[-1] in ";}":
            before, behind = "{ if (%s) { %s } else { " % (on, one_line(new)), " } }"
        else:
            before, behind = "(%s ? (%s) : (" % (on, one_line(new)), "))"
        yield start, end, before, behind


def apply_edits(path, text, sites, edits):
    """Puts it all into one text. Edits nest; two that overlap otherwise are an error."""
    for i, (s, e, _, _) in enumerate(edits):
        for t, f, _, _ in edits[i + 1:]:
            if s < t < e < f or t < s < f < e:
                raise SystemExit("faults.py: two faults overlap in %s: %r and %r" % (path, text[s:e], text[t:f]))
    # At one place closing parts come first, the innermost before all; of the opening ones the outermost comes first.
    # Of two edits with the same extent the earlier is the outer one.
    parts = [(site.end, 0, -1, 0, "__" + site.name) for site in sites]
    for i, (start, end, before, behind) in enumerate(edits):
        parts.append((start, 1, start - end, i, before))
        parts.append((end, 0, end - start, -i, behind))
    out, at = [], 0
    for position, _, _, _, part in sorted(parts):
        out += [text[at:position], part]
        at = position
    return "".join(out) + text[at:]


# ---- the tree ----


def read(path):
    with open(path) as file:
        return file.read()


def write_if_changed(path, text):
    """So that ninja builds only what has changed."""
    if os.path.exists(path) and read(path) == text:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def header(mutants, sites):
    out = ["/* mutants.h: written by tests/mutants/instrument.py. */",
           "#ifndef SK_MUTANTS_H", "#define SK_MUTANTS_H", "",
           "#ifdef MUTANTS_LIVE", "#ifdef __cplusplus", 'extern "C" {', "#endif",
           "extern unsigned sk_mutant, *sk_mutant_reached;", "#ifdef __cplusplus", "}", "#endif",
           "#define MUTANT(name) \\",
           "    (sk_mutant == MUTANT_NUMBER_##name && (__atomic_store_n(sk_mutant_reached, 1u, __ATOMIC_RELAXED), 1))",
           "#else", "#define MUTANT(name) MUTANT_ON_##name", "#endif", ""]
    for m in mutants:
        out += ["#define MUTANT_NUMBER_%s %du" % (m.name, m.number), "#ifdef MUTANT_%s" % m.name,
                "#define MUTANT_ON_%s 1" % m.name, "#else", "#define MUTANT_ON_%s 0" % m.name, "#endif"]
    out += ["", "#ifdef SK_MODEL"] + [site_macro_model(s) for s in sites]
    out += ["#else"] + [site_macro(s) for s in sites] + ["#endif", "", "#endif", ""]
    return "\n".join(out)


def instrument(src, out, faults):
    """Writes the instrumented copy of src to out; returns all mutants, numbered from 1, in the order of files."""
    mutants, all_sites, made, lost = [], [], set(), []
    rows = {}
    for row in faults:
        rows.setdefault(row.path, []).append(row)
    for folder, _, names in sorted(os.walk(src)):
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), src)
            if not name.endswith((".c", ".h", ".S")):
                continue
            made.add(path)
            text = read(os.path.join(folder, name))
            own = rows.pop(path, [])
            if path in SKIPPED or name.endswith(".S"):
                sites = []
            else:
                sites = sites_of(path, text)
            for site in sites:
                for order in weaker(site):
                    what = "%s dropped" % site.call if order == "none" else "%s -> %s" % (site.call, order)
                    mutants.append(Mutant("%s_%s" % (site.name, order), "order", path, site.line, what))
            edits = []
            for row in own:
                try:
                    edits += list(fault_edits(text, row))
                except NotThere as what:
                    lost.append(str(what))
                    continue
                line = text.count("\n", 0, find_once(text, row.name, path, *row.edits[0][:2])) + 1
                mutants.append(Mutant(row.name, "fault", path, line, row.what))
            all_sites += sites
            text = apply_edits(path, text, sites, edits)
            if path in ("base/atomic.h", "base/base.h"):
                text = text[:text.rindex("#endif")] + '#include "mutants.h"\n' + text[text.rindex("#endif"):]
            write_if_changed(os.path.join(out, path), text)
    if lost:
        raise SystemExit("faults.py does not fit src any more:\n  " + "\n  ".join(lost))
    if rows:
        raise SystemExit("faults.py: no such file: %s" % ", ".join(sorted(rows)))
    for folder, _, names in os.walk(out):  # what has gone from src must go here
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), out)
            if path not in made and path not in ("mutants.h", "live.c"):
                os.remove(os.path.join(folder, name))
    twice = sorted({m.name for m in mutants if sum(n.name == m.name for n in mutants) > 1})
    if twice:
        raise SystemExit("two mutants of one name: %s" % ", ".join(twice))
    for number, mutant in enumerate(mutants, 1):
        mutant.number = number
    write_if_changed(os.path.join(out, "mutants.h"), header(mutants, all_sites))
    write_if_changed(os.path.join(out, "live.c"), read(os.path.join(os.path.dirname(__file__), "live.c")))
    return mutants
