# md5.sh: the example against md5sum(1), with names and files that are not easy; and runs that end early. Sourced by run.
tree=$(mktemp -d)
trap 'chmod -R u+rwx "$tree"; rm -rf "$tree"' EXIT
deep=$tree/in/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z
mkdir -p "$deep" "$tree/in/many" "$tree/empty"
for i in $(seq 300); do echo "file $i" >"$tree/in/many/$i"; done
: >"$tree/in/empty"
head -c 3000000 /dev/zero >"$tree/in/large"
echo deep >"$deep/deep"
echo space >"$tree/in/a name with spaces"
echo newline >"$tree/in/a"$'\n'"name"
echo backslash >"$tree/in/back\\slash"
echo before >"$tree/in/a.b" # sorts before a/b
ln -s "$tree/in/large" "$tree/in/link"
cp "$program" "$tree/program" # another user may not reach the build folder
chmod 755 "$tree" "$tree/program"

# md5sum prints the errors of all files, so the same that it can read must be here, and its status.
compare()
{
    local ours=$tree/ours theirs=$tree/theirs status
    find "$@" -type f -print0 2>/dev/null | sort -z >"$tree/names"
    $as xargs -0 -r md5sum <"$tree/names" >"$theirs" 2>"$theirs.errors"
    $as "$tree/program" "$@" >"$ours" 2>"$ours.errors"
    status=$?
    diff "$ours" "$theirs" || fail "other digests (<) than those of md5sum (>)"
    # The order of the errors is that in which they happen.
    diff <(sed 's/^md5: //' "$ours.errors" | sort) <(sed 's/^md5sum: //' "$theirs.errors" | sort) ||
        fail "other errors (<) than those of md5sum (>)"
    if [ -s "$theirs.errors" ]; then [ "$status" = 1 ]; else [ "$status" = 0 ]; fi || fail "ended with $status"
}

as=''
compare "$tree/in"
compare "$tree/empty"
compare "$tree/in" /proc/self/mem # whoever reads this gets an error, root too

# The bar shows all of them in the end, whatever came before.
"$program" --progress "$tree/in" >"$tree/ours" 2>"$tree/ours.errors" || fail "ended with $? when it drew a bar"
count=$(find "$tree/in" -type f -printf x | wc -c)
tr '\r' '\n' <"$tree/ours.errors" | grep -a . | tail -n 1 | grep -qF "[##############################] $count/$count," ||
    fail "its bar ended at: $(tail -c 80 "$tree/ours.errors")"

# A file that may not be read. Root may read it all the same, so root goes as somebody else.
chmod 000 "$tree/in/many/7"
[ "$(id -u)" != 0 ] || as='setpriv --reuid=65534 --regid=65534 --clear-groups'
if $as true 2>/dev/null; then compare "$tree/in"; else echo "setpriv does not work here: no file that may not be read"; fi
chmod 644 "$tree/in/many/7"

# ends STATUS WORDS: what the last run, which printed into $tree/ours, ended with.
ends()
{
    [ "$1" = "$status" ] || fail "ended with $status, not with $1"
    [ ! -s "$tree/ours" ] || fail "printed digests although it was ended early"
    grep -q "ended early: $2" "$tree/ours.errors" || fail "did not say: $2"
}

# A hundred gigabytes of nothing keep it busy until it is told to end.
truncate -s 100G "$tree/in/endless" || fail "no sparse files here"
timeout 60 "$program" --stop --fail-at 5 "$tree/in" >"$tree/ours" 2>"$tree/ours.errors"
status=$?
ends 3 "Input/output error"

# Interrupted: as soon as it waits for that.
"$program" "$tree/in" >"$tree/ours" 2>"$tree/ours.errors" &
process=$!
for _ in $(seq 600); do
    blocked=$(sed -n 's/^SigBlk:\t//p' "/proc/$process/status" 2>/dev/null)
    [ $((0x${blocked:-0} & 2)) = 0 ] || break
    sleep 0.05
done
kill -INT "$process"
wait "$process"
status=$?
ends 130 interrupted
