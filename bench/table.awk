# table.awk: the medians of one bench as a table; with json.awk. -v bench=NAME
#
# The million has its own: against the physical limit and with the results that others have published for it.
# Every other bench shows its time an operation, or its latencies.

function name_of(impl) {
    if (impl == "go") return bench == "million" || bench == "noop" ? "Go, semaphore" : "Go"
    if (impl == "go-errgroup") return "Go, errgroup"
    return impl
}

function ratio(a, b) { return b > 0 ? sprintf("%.2f", a / b) : "-" }

function million_row(who, wall, cpu, peak, remark) {
    printf "  %-16s %8s %8s %9s %10s %8s  %s\n", who, sprintf("%.3f", wall), cpu, peak, \
        full ? sprintf("%.3f", wall / limit) : "-", remark ? "-" : ratio(wall, go_wall), remark
}

function million_table(    i) {
    limit = size / 10000 * 0.010
    printf "  %-16s %8s %8s %9s %10s %8s\n", "", "wall s", "CPU s", "peak MB", "to limit", "to Go"
    for (i = 1; i <= rows; i++) {
        million_row(name_of(impl[i]), wall[i], sprintf("%.3f", cpu[i]), sprintf("%.1f", peak[i] / 1024), "")
    }
    if (size == 1000000) {
        million_row("GoPool", 1.13, "-", "-", "published")
        million_row("ants", 1.43, "-", "-", "published")
        million_row("pond", 3.51, "-", "-", "published")
    }
    if (full) printf "  The limit is %d / 10,000 x 10 ms = %.3f s. Published figures are of other machines.\n", size, limit
}

# The last three columns are ratios to the row "Go": of the time (or the unit) each, of CPU time, of peak memory.
function plain_table(    i) {
    printf "  %-16s %8s %8s %9s %10s %8s %6s %6s\n", "", "wall s", "CPU s", "peak MB", unit, "to Go", "CPU", "MB"
    for (i = 1; i <= rows; i++) {
        printf "  %-16s %8.3f %8.3f %9.1f %10.1f %8s %6s %6s  %s\n", name_of(impl[i]), wall[i], cpu[i], peak[i] / 1024, \
            ns[i], ratio(ns[i], go_ns), ratio(cpu[i], go_cpu), ratio(peak[i], go_peak), note[i]
    }
}

function latency_table(    i) {
    printf "  %-16s %10s %10s %10s %10s %8s  (us)\n", "", "p50", "p99", "p99.9", "max", "CPU s"
    for (i = 1; i <= rows; i++) {
        printf "  %-16s %10.1f %10.1f %10.1f %10.1f %8.3f  %s\n", name_of(impl[i]), p50[i] / 1000, p99[i] / 1000, \
            p999[i] / 1000, max[i] / 1000, cpu[i], note[i]
    }
}

{
    impl[++rows] = field($0, "impl")
    wall[rows] = field($0, "wall_s") + 0
    cpu[rows] = field($0, "cpu_s") + 0
    peak[rows] = field($0, "peak_rss_kb") + 0
    ns[rows] = field($0, "ns_per_op") + 0
    p50[rows] = field($0, "p50_ns")
    p99[rows] = field($0, "p99_ns")
    p999[rows] = field($0, "p999_ns")
    max[rows] = field($0, "max_ns")
    note[rows] = field($0, "note")
    size = field($0, "params")
    sub(/^n=/, "", size)
    size += 0 # the number at its start
    if (impl[rows] == "go") { go_wall = wall[rows]; go_ns = ns[rows]; go_cpu = cpu[rows]; go_peak = peak[rows] }
    if (p50[rows] != "") latencies = 1
}

END {
    unit = bench == "idle" ? "CPU ns" : bench == "parked" ? "bytes each" : "ns each"
    full = size >= 10000
    if (rows == 0) print "  no results"
    else if (bench == "million") million_table()
    else if (latencies) latency_table()
    else plain_table()
}
