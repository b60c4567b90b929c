# json.awk: reads one value from a line of the benches' own JSON (flat objects, no escapes).
function field(line, key,    value) {
    if (!match(line, "\"" key "\":(\"[^\"]*\"|[-+.0-9e]+)")) return ""
    value = substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
    gsub(/"/, "", value)
    return value
}
