# median.awk: many lines of raw results in, one line for each implementation out, each figure the median
# of its runs; with json.awk.
function median(impl, key,    i, k, n, v, list) {
    n = count[impl]
    for (i = 1; i <= n; i++) {
        v = field(line[impl, i], key) + 0
        for (k = i - 1; k > 0 && list[k] > v; k--) list[k + 1] = list[k]
        list[k + 1] = v
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

/^\{.*\}$/ {
    impl = field($0, "impl")
    if (!(impl in count)) order[++impls] = impl
    line[impl, ++count[impl]] = $0
}

END {
    for (i = 1; i <= impls; i++) {
        impl = order[i]
        last = line[impl, count[impl]]
        printf "{\"bench\":\"%s\",\"impl\":\"%s\",\"params\":\"%s\"", field(last, "bench"), impl, field(last, "params")
        printf ",\"wall_s\":%.6f,\"cpu_s\":%.6f,\"peak_rss_kb\":%d,\"ns_per_op\":%.2f,\"runs\":%d", \
            median(impl, "wall_s"), median(impl, "cpu_s"), median(impl, "peak_rss_kb"), median(impl, "ns_per_op"), count[impl]
        if (field(last, "p50_ns") != "") {
            printf ",\"p50_ns\":%.0f,\"p99_ns\":%.0f,\"p999_ns\":%.0f,\"max_ns\":%.0f", \
                median(impl, "p50_ns"), median(impl, "p99_ns"), median(impl, "p999_ns"), median(impl, "max_ns")
        }
        if (field(last, "note") != "") printf ",\"note\":\"%s\"", field(last, "note")
        print "}"
    }
}
