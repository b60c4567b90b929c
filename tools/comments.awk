# comments.awk: splits a line of C into `code` and `comment`. For use with other programs: awk -f comments.awk -f ...
# Call split_line(line) for each line in order, and split_reset() at the head of a file. String literals are emptied,
# so that a message that mentions a call is not taken for one.

function split_reset() { in_comment = 0 }

function split_line(line,    at, two, quote, ch)
{
    code = comment = ""
    while (line != "") {
        if (in_comment) {
            at = index(line, "*/")
            if (!at) { comment = comment line; return }
            comment = comment substr(line, 1, at + 1)
            line = substr(line, at + 2)
            in_comment = 0
            continue
        }
        two = substr(line, 1, 2)
        ch = substr(line, 1, 1)
        if (two == "/*") {
            in_comment = 1
            comment = comment "/*"
            line = substr(line, 3)
        } else if (two == "//") {
            comment = comment line
            return
        } else if (ch == "\"" || ch == "'") {
            if (ch == "\"") match(line, /^"([^"\\]|\\.)*"/)
            else match(line, /^'([^'\\]|\\.)*'/)
            if (RLENGTH < 1) RLENGTH = 1
            code = code (ch == "\"" ? "\"\"" : "' '")
            line = substr(line, RLENGTH + 1)
        } else {
            match(line, /^[^"'\/]+/)
            if (RLENGTH < 1) RLENGTH = 1
            code = code substr(line, 1, RLENGTH)
            line = substr(line, RLENGTH + 1)
        }
    }
}
