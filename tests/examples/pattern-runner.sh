# pattern-runner.sh: the example in its three ways: it completes, it is late, it is interrupted. Sourced by run.

# ends STATUS EXPECTED: the last run, which printed into $printed.
ends()
{
    [ "$status" = "$1" ] || fail "ended with $status, not with $1"
    diff "$printed" <(printf "$2") || fail "printed something else (<) than it should (>)"
}

printed=$(mktemp)
trap 'rm -f "$printed"' EXIT

"$program" >"$printed"
status=$?
ends 0 'prepare\nwork\nclean up\nall done\n'

# The first job would take an hour.
"$program" 20 3600000 >"$printed"
status=$?
ends 1 'prepare\nout of time\n'

# It has a minute and more. It is interrupted as soon as it is seen to work.
: >"$printed"
"$program" 100000 100000 >"$printed" &
process=$!
for _ in $(seq 600); do
    [ ! -s "$printed" ] || break
    sleep 0.05
done
kill -INT "$process"
wait "$process"
status=$?
ends 2 'prepare\ninterrupted\n'
