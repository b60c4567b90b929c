"""tables.py: reads survivors.txt and killers.txt, writes killers.txt and the table of a run."""
import os


def read_survivors(path):
    """NAME [NAME...]: the argument. Lines that begin with a blank go on with it; # begins a comment line."""
    entries, survivors = [], {}
    with open(path) as file:
        for line in file:
            if not line.strip() or line.startswith("#"):
                continue
            if line[0].isspace():
                entries[-1] += " " + line.strip()
            else:
                entries.append(line.strip())
    for entry in entries:
        names, _, argument = entry.partition(":")
        for name in names.split():
            if name in survivors:
                raise SystemExit("%s: %s is listed twice" % (path, name))
            survivors[name] = argument.strip()
    for name, argument in survivors.items():
        if not argument.startswith(("equivalent: ", "beyond: ", "owed: ")):
            raise SystemExit("%s: the argument for %s must begin with equivalent:, beyond: or owed:" % (path, name))
    return survivors


def read_killers(path):
    """NAME KILLER, one a line."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        lines = [line.split(None, 1) for line in file if line.strip() and not line.startswith("#")]
    return {name: killer.strip() for name, killer in lines}


def write_killers(path, mutants, hints, rows):
    hints = dict(hints)
    for name, (_, result, _, _) in rows.items():
        hints.pop(name, None)
        if result:
            hints[name] = result.killer
    with open(path, "w") as file:
        file.write("# Which test kills which mutant; it is tried first. Written by tools/test-mutants --write.\n")
        for mutant in mutants:
            if mutant.name in hints:
                file.write("%-36s %s\n" % (mutant.name, hints[mutant.name]))


def write_report(path, mutants, rows, known, known_names, orders_known):
    """The table for docs: each mutant with what it is and what killed it."""
    killed = sum(r[0] == "killed" for r in rows.values())
    equivalent = sum((r[2] or "").startswith("equivalent") for r in rows.values())
    beyond = sum((r[2] or "").startswith("beyond") for r in rows.values())
    owed = sum(r[0] == "owed" for r in rows.values())
    out = ["# Mutants", "", "%d mutants: %d killed, %d equivalent, %d beyond the tools at hand, %d owed. Written by "
           "`tools/test-mutants`." % (len(mutants), killed, equivalent, beyond, owed), "",
           "| mutant | file | what | known as | killed by | how | s |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for m in mutants:
        verdict, result, argument, _ = rows[m.name]
        item = known.get(m.name) or orders_known.get(m.name, "")
        cells = [m.name, m.path, m.what, known_names.get(item, "")]
        cells += [result.killer, result.how, "%.1f" % result.seconds] if result else [verdict, argument or "", ""]
        out.append("| %s |" % " | ".join(c.replace("|", "\\|") for c in cells))
    out += ["", "## Known faults of others", "", "| fault | mutants |", "| --- | --- |"]
    for item, words in known_names.items():
        names = [n for n, k in list(known.items()) + list(orders_known.items()) if k == item]
        out.append("| %s | %s |" % (words, ", ".join(sorted(names))))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")
