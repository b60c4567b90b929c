# labels.awk: the body of lint-labels; needs comments.awk. Writes the table of all labels to the file `model`.

BEGIN {
    label = "\\[[A-Z][A-Z0-9]*-[A-Z]*[0-9]+[a-z]?\\]"
    ordered = "sk_[a-z0-9_]*_(acq|rel|ar|acqrel|sc)[ ]*\\(|sk_fence_[a-z]+[ ]*\\("
    defines = "^[ \t]*(/\\*+|//+)[ \t]*" label
}

function complain(line, what) { printf "%s:%d: %s\n", file, line, what; bad = 1 }

FNR == 1 {
    if (file != "" && !prose) check_file()
    file = FILENAME
    prose = file ~ /\.md$/
    lines = 0
    split_reset()
}

prose { note_references($0, FNR); next }

{
    split_line($0)
    lines = FNR
    codes[FNR] = code
    comments[FNR] = comment
}

END {
    if (file != "" && !prose) check_file()
    for (name in referred) if (!(name in defined)) { printf "%s: %s is defined nowhere\n", referred[name], name; bad = 1 }
    write_model()
    exit bad
}

function note_references(text, line,    name)
{
    while (match(text, label)) {
        name = substr(text, RSTART, RLENGTH)
        if (!(name in referred)) referred[name] = file ":" line
        text = substr(text, RSTART + RLENGTH)
    }
}

# The whole text of the comment that starts on a line, on one line. A code line ends a block comment's neighbourhood,
# so only comment lines are joined.
function whole_comment(line,    text, i)
{
    text = comments[line]
    for (i = line + 1; i <= lines && text !~ /\*\/[ \t]*$/; i++) text = text " " comments[i]
    gsub(/\/\*+|\*\//, " ", text)
    gsub(/[ \t]+\*?[ \t]+/, " ", text)
    gsub(/\|/, "\\\\|", text)
    sub(/^ /, "", text)
    sub(/ $/, "", text)
    return text
}

function define(line,    text, name)
{
    text = whole_comment(line)
    while (match(text, "^[ ,]*" label)) {
        name = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        gsub(/[ ,]/, "", name)
        if (name in defined) {
            complain(line, name " is defined already in " defined[name] "; a second site needs a label of its own")
            continue
        }
        defined[name] = file ":" line
        where[name] = file
        order[++labels] = name
        names_in_site[labels] = line
    }
    sub(/^ +/, "", text)
    for (name in defined) if (defined[name] == file ":" line && !(name in words)) words[name] = text
    # The partner is named by its label, or in words.
    if (text !~ label && text !~ /pairs with|partner|itself/) complain(line, "label without a partner: say what it pairs with")
}

# True when the statement that the line belongs to, or the comment right above it, names a label.
function labelled(line,    i)
{
    if (comments[line] ~ label) return 1
    for (i = line - 1; i > 0 && codes[i] !~ /^[ \t]*$/ && codes[i] !~ /[;{}:][ \t\\]*$/; i--)
        if (comments[i] ~ label) return 1
    for (; i > 0 && codes[i] ~ /^[ \t\\]*$/ && comments[i] != ""; i--)
        if (comments[i] ~ label) return 1
    return 0
}

function check_file(    i)
{
    for (i = 1; i <= lines; i++) {
        if (comments[i] ~ defines) define(i)
        if (comments[i] != "") note_references(comments[i], i)
        if (codes[i] ~ ordered && !labelled(i)) complain(i, "ordered atomic without a label: " codes[i])
    }
}

function write_model(    i, name, module, last, part)
{
    print "# Memory model" > model
    print "" > model
    print "Written by `./dev lint --fix` from the comments in `src`; edit those. Each row is one ordered access or fence:" > model
    print "its label, the file it stands in, its order, whom it pairs with, and what breaks without it." > model
    for (i = 1; i <= labels; i++) {
        name = order[i]
        split(where[name], part, "/")
        module = part[2]
        if (module != last) printf "\n## %s\n\n| label | file | order and partner |\n| --- | --- | --- |\n", module > model
        last = module
        printf "| %s | [%s](../%s) | %s |\n", substr(name, 2, length(name) - 2), part[3] (part[4] ? "/" part[4] : ""),
            where[name], words[name] > model
    }
    if (!labels) print "\nNo labels yet." > model
}
