# test.sh: runs the lanes and adds up. Sourced by ./dev.
#
# The last line is `N passed, N failed`, over all tests of all lanes. A test runner's word is not taken alone, since
# each of them has a way to be wrong: Criterion ends with 0 after a leak report, a process that hangs says nothing,
# one that dies prints no summary, and one that ran no test has not passed.

passed=0 failed=0 skipped=0
failures=

# Adds a result and prints its line: report LANE NAME PASSED FAILED SKIPPED SECONDS [WHY]
report()
{
    local verdict="$3 passed"
    passed=$((passed + $3)) failed=$((failed + $4)) skipped=$((skipped + $5))
    [ "$5" = 0 ] || verdict="$verdict, $5 skipped"
    if [ "$4" != 0 ]; then
        verdict="$verdict, $4 FAILED${7:+: $7}"
        failures="$failures  $1 $2${7:+: $7}"$'\n'
    fi
    printf '%-10s %-24s %5s s  %s\n' "$1" "$2" "$6" "$verdict"
}

# How much less than its full count a test does: lane_scale LANE NAME. Full in the plain build; the sanitizers slow a
# step by 5 to 50. A proof lane decides for itself.
lane_scale()
{
    [ -z "$quick" ] || { echo 20; return; }
    case "$1-$2" in
    clang-* | lto-* | lto-clang-*) echo 4 ;;
    asan-stress* | asan-clang-*) echo 20 ;;
    tsan-* | asan-*) echo 50 ;;
    valgrind-*) echo 1000 ;;
    *) echo 1 ;;
    esac
}

# The variables for a test program: environment_of LANE NAME
environment_of()
{
    is_proof_lane "$1" || echo "SKUA_TEST_SCALE=${SKUA_TEST_SCALE:-$(lane_scale "$1" "$2")}"
    ! is_cold "$1" "$2" || echo SKUA_TEST_COLD=1
}

# Under Valgrind tests come after a first runtime (tests/support/plain_main.c), but for these: they fork, or refuse what
# the first one asks for.
is_cold()
{
    case "$1-$2" in
    valgrind-unit-deadlock | valgrind-unit-fault | valgrind-unit-fault_choice | valgrind-unit-faults) true ;;
    valgrind-unit-process | valgrind-unit-scarce | valgrind-unit-signals) true ;;
    *) false ;;
    esac
}

# Stack frames in memory of their own find a use after return, but then hardly anything lies on the fibers' stacks. Each
# way has its lanes: here the exact tests have such frames, the stress tests have none, and in asan-clang nobody has.
has_fake_frames() { case "$1-$2" in asan-unit* | asan-conformance*) true ;; *) false ;; esac; }

# Seconds after which a test program counts as hung. Longer than a single test's own limit in tests/support/test.h,
# except in a quick run. The proof lanes are whole lanes in one program. SKUA_TEST_LIMIT sets another.
lane_limit()
{
    if [ -n "${SKUA_TEST_LIMIT:-}" ]; then
        echo "$SKUA_TEST_LIMIT"
    elif is_proof_lane "$1"; then
        case "$1" in mutants) echo 3600 ;; model) echo 900 ;; *) echo 600 ;; esac
    elif [ -n "$quick" ]; then
        echo 120
    elif is_lto_lane "$1"; then
        echo 600
    else
        echo 260
    fi
}

# Sanitizers write into files: what a test prints may be lost, and a report must fail the run whatever the exit status.
# UBSan and TSan have no other way to be heard in a process that Criterion started.
set_sanitizer_options()
{
    local common="log_path=$1:abort_on_error=0:print_stacktrace=1"
    export ASAN_OPTIONS="$common:detect_leaks=1:strict_string_checks=1:check_initialization_order=1"
    export UBSAN_OPTIONS="$common" LSAN_OPTIONS="$common"
    export TSAN_OPTIONS="$common:exitcode=66:atexit_sleep_ms=20"
    export ASAN_OPTIONS="$ASAN_OPTIONS:detect_stack_use_after_return=$2"
    [ ! -f tools/tsan.supp ] || TSAN_OPTIONS="$TSAN_OPTIONS:suppressions=$PWD/tools/tsan.supp"
}

# The words before a test program: a time limit always; a fixed address layout for the sanitizers, whose shadow
# memory collides with some random layouts of new kernels; Valgrind in its lane.
runner_words()
{
    printf 'timeout -k 10 %s ' "$(lane_limit "$1")"
    case "$1" in
    asan* | tsan) ! setarch -R true 2>/dev/null || printf 'setarch -R ' ;;
    valgrind)
        printf '%s ' valgrind -q --fair-sched=yes --error-exitcode=99 --leak-check=full \
            --errors-for-leak-kinds=definite --num-callers=20 --max-stackframe=16777216 --vex-iropt-level=1
        [ ! -f tools/valgrind.supp ] || printf -- '--suppressions=%s/tools/valgrind.supp ' "$PWD"
        ;;
    esac
}

# Arguments for Criterion's runner, where stress tests run one at a time; the plain one takes none, but for which tests
# the one program of the lanes with link-time optimization is to run.
runner_arguments()
{
    case "$1-$2" in
    lto-* | lto-clang-*) echo "tests/$2/" ;;
    gcc-stress* | conformance-stress*) echo "--verbose --jobs 1" ;;
    gcc-* | conformance-*) echo "--verbose" ;;
    esac
}

# Prints "PASSED FAILED SKIPPED" from the summary in a log, or nothing when it has none.
read_summary()
{
    sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        /Synthesis: Tested: / { gsub(/[^0-9 ]/, ""); tested = $1; good = $2; bad = tested - good; seen = 1 }
        /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { good = $1; bad = $3; skipped = $5 + 0; seen = 1 }
        END { if (seen) print good, bad, skipped + 0 }'
}

# Says what is wrong with a run that its own summary does not show, or nothing: complaint STATUS GOOD BAD FOUND LIMIT
complaint()
{
    if [ "$1" = 124 ] || [ "$1" = 137 ]; then
        echo "hung, ended after $5 s"
    elif [ "$4" != 0 ]; then
        echo "sanitizer report"
    elif [ -z "$2" ]; then
        echo "died without a summary, status $1"
    elif [ "$2" = 0 ] && [ "$3" = 0 ]; then
        echo "ran no test"
    elif [ "$1" != 0 ] && [ "$3" = 0 ]; then
        echo "status $1 although no test failed"
    fi
}

# Where gdb is installed, a hang says where it hangs: shortly before the time limit of the process, the stacks of all
# its children go to the log. watch_hang PROCESS LIMIT LOG
watch_hang()
{
    local left=$(($2 - 6)) process
    command -v gdb && command -v pgrep || return
    while [ "$left" -gt 0 ]; do
        sleep 1
        kill -0 "$1" || return
        left=$((left - 1))
    done
    for process in $(children_of "$1"); do
        timeout 5 gdb -batch -nx -p "$process" -ex 'thread apply all backtrace 12' 2>/dev/null |
            grep -E '^(Thread|#)' | sed "s/^/$process: /" >>"$3"
    done
}

children_of()
{
    local child
    for child in $(pgrep -P "$1"); do
        echo "$child"
        children_of "$child"
    done
}

# Runs one program, with its output to build/logs/LANE-NAME.log, its status and seconds to the same with .end, and what
# the sanitizers find to the same with .sanitizer.*: execute LANE NAME PROGRAM [ARGUMENT...]
execute()
{
    local lane=$1 name=$2 log=build/logs/$1-$2 program start status
    shift 2
    mkdir -p build/logs
    rm -f "$log".*
    set_sanitizer_options "$PWD/$log.sanitizer" "$(has_fake_frames "$lane" "$name" && echo 1 || echo 0)"
    start=$(date +%s%N)
    # shellcheck disable=SC2046
    env $(environment_of "$lane" "$name") $(runner_words "$lane") "$@" >"$log.log" 2>&1 </dev/null &
    program=$!
    watch_hang "$program" "$(lane_limit "$lane")" "$log.log" >/dev/null 2>&1 &
    wait "$program"
    status=$?
    awk "BEGIN { printf \"%d %.1f\\n\", $status, ($(date +%s%N) - $start) / 1e9 }" >"$log.end"
}

# What it has led to: one line, and more when it has failed. settle LANE NAME
settle()
{
    local lane=$1 name=$2 log=build/logs/$1-$2 seconds status good bad skip found why
    read -r status seconds <"$log.end"
    if [ "$status" = 77 ]; then
        report "$lane" "$name" 0 0 1 "$seconds"
        tail -n 1 "$log.log" | sed 's/^/    | /'
        return
    fi
    read -r good bad skip <<<"$(read_summary "$log.log")"
    found=$(sanitizer_reports "$log")
    why=$(complaint "$status" "${good:-}" "${bad:-}" "$found" "$(lane_limit "$lane")")
    # A test that failed because of the report is one failure, not two.
    [ -z "$why" ] || [ "${bad:-0}" != 0 ] || bad=1
    report "$lane" "$name" "${good:-0}" "${bad:-0}" "${skip:-0}" "$seconds" "$why"
    [ "${bad:-0}" = 0 ] || show_log "$log"
}

# run_program LANE NAME PROGRAM [ARGUMENT...]: one program, one line.
run_program()
{
    execute "$@"
    settle "$1" "$2"
}

# The same, but the next one may begin meanwhile: two at a time, whose lines come in the order of their calls. After the
# last one: settle_rest.
under_way=()
run_beside()
{
    execute "$@" &
    under_way+=("$! $1 $2")
    [ ${#under_way[@]} = 1 ] || settle_first
}

settle_first()
{
    local process lane name
    read -r process lane name <<<"${under_way[0]}"
    under_way=("${under_way[@]:1}")
    wait "$process"
    settle "$lane" "$name"
}

settle_rest() { while [ ${#under_way[@]} != 0 ]; do settle_first; done; }

# Which programs run by twos: those of the plain runner, which has one test at a time, but for stress tests.
runs_beside()
{
    case "$1-$2" in *-stress*) false ;; gcc-* | conformance-*) false ;; *) true ;; esac
}

# How many reports there are: in the sanitizers' files, and in what was printed, where gcc's UBSan writes.
sanitizer_reports()
{
    { find build/logs -path "$1.sanitizer.*" -size +0
        grep -aE 'runtime error: |(ERROR|WARNING): [A-Za-z]+Sanitizer' "$1.log"; } | wc -l
}

show_log()
{
    { tail -n 80 "$1.log"
        find build/logs -path "$1.sanitizer.*" -size +0 | head -n 3 | xargs -r head -n 40; } | sed 's/^/    | /'
}

wanted()
{
    local word
    [ -n "$filters" ] || return 0
    for word in $filters; do case "$1" in *"$word"*) return 0 ;; esac; done
    return 1
}

is_lto_lane() { case "$1" in lto | lto-clang) true ;; *) false ;; esac; }

# The programs are named after the sources, so that a test that meson does not know shows up as a failure. With
# link-time optimization there is one program for all (tests/meson.build), which runs for each kind of test, when a
# filter wants any of its sources.
run_tests()
{
    local lane=$1 folder kind source name program last run
    local kinds="unit conformance stress"
    folder=build/$(lane_folder "$lane")/tests
    [ "$lane" != conformance ] || kinds=conformance
    for kind in $kinds; do
        # Valgrind runs one thread at a time, so a stress test would prove nothing there, and a pool's scenarios little.
        case "$lane-$kind" in valgrind-stress | valgrind-conformance) continue ;; esac
        last=
        for source in tests/$kind/*.c; do
            [ -e "$source" ] || continue
            name=$kind-$(basename "$source" .c)
            wanted "$name" || continue
            ! is_lto_lane "$lane" || name=$kind
            [ "$name" != "$last" ] || continue
            last=$name program=$folder/$name
            ! is_lto_lane "$lane" || program=$folder/whole
            if [ -x "$program" ]; then
                runs_beside "$lane" "$name" && run=run_beside || { settle_rest; run=run_program; }
                # shellcheck disable=SC2046
                $run "$lane" "$name" "$program" $(runner_arguments "$lane" "$name")
            else
                settle_rest
                report "$lane" "$name" 0 1 0 0.0 "not built; is it in tests/meson.build?"
            fi
        done
    done
    settle_rest
}

# As run_program, for programs without a summary: they pass when they end with 0.
run_plainly()
{
    local lane=$1 name=$2
    shift 2
    run_program "$lane" "$name" bash -c '"$@" && echo "1 passed, 0 failed" || { echo "status $?"; echo "0 passed, 1 failed"; false; }' - "$@"
}

run_examples()
{
    local source name
    for source in examples/*.c; do
        name=$(basename "$source" .c)
        wanted "example-$name" || continue
        run_plainly examples "example-$name" tests/examples/run "build/gcc/examples/$name"
    done
    for source in examples/patterns/*.c; do
        name=pattern-$(basename "$source" .c)
        wanted "$name" || continue
        run_plainly examples "$name" tests/examples/run "build/gcc/examples/$name"
    done
    ! wanted install || run_plainly examples install tools/test-install
}

# While a lane's tests run, which wait more than they compute, the lane after it is built, at the lowest priority. What
# goes wrong is reported when its turn comes. build_ahead LANE
ahead=
build_ahead()
{
    case "$1" in '' | lint | headers | examples | conformance) return ;; esac
    ! is_proof_lane "$1" || return 0
    [ -z "$(lane_lacks "$1")" ] || return 0
    { renice -n 19 -p "$BASHPID" && lane_build "$1"; } >/dev/null 2>&1 &
    ahead=$!
}

# Lanes that only compute, and to which no clock matters: in a run of several lanes they begin first, one after another
# at a low priority, and have what the tests leave over. Their turn comes last. start_early LANE...
early_lanes="model sim facade"
early=
start_early()
{
    local lane chosen=
    case " $* " in *' gcc '*) ;; *) return 0 ;; esac
    mkdir -p build/logs
    for lane in $early_lanes; do
        rm -f "build/logs/early-$lane"
        case " $* " in *" $lane "*) ;; *) continue ;; esac
        ! wanted "$lane" || [ -n "$(lane_lacks "$lane")" ] || chosen="$chosen $lane"
    done
    # Who ends the whole run in its midst gets no further lane.
    for lane in $chosen; do kill -0 $$ && run_early "$lane"; done </dev/null >/dev/null 2>&1 &
    early=$!
}

# The simulator ends a run after 20 s, so it must have some of the processor.
run_early()
{
    local least=19
    [ "$1" != sim ] || least=10
    { SKUA_TEST_LIMIT=1800 nice -n "$least" timeout -k 10 2400 "$(proof_script "$1")"
        echo "status $?"; } >"build/logs/early-$1" 2>&1
}

# What a lane said that began early, once it has ended: finish_early LANE
finish_early()
{
    local log=build/logs/early-$1
    until grep -qs '^status [0-9]*$' "$log" || ! kill -0 "$early" 2>/dev/null; do sleep 0.2; done
    grep -qs '^status [0-9]*$' "$log" || { echo "did not end"; return 1; }
    sed '$d' "$log"
    return "$(tail -n 1 "$log" | sed 's/^status //')"
}

run_lane()
{
    local lacks
    [ -z "$ahead" ] || wait "$ahead"
    ahead=
    lacks=$(lane_lacks "$1")
    if [ -n "$lacks" ]; then
        report "$1" "" 0 0 1 0.0
        echo "    | $lacks"
        return
    fi
    case "$1" in
    lint) ! wanted lint || SKUA_LINT_QUICK=$quick run_program lint lint tools/lint; return ;;
    headers) ! wanted headers || run_program headers headers tools/test-headers; return ;;
    esac
    if is_proof_lane "$1"; then
        wanted "$1" || return 0
        case "${early:+ $early_lanes }" in
        *" $1 "*)
            export early
            export -f finish_early
            run_program "$1" "$1" bash -c 'finish_early "$1"' - "$1"
            ;;
        *) run_program "$1" "$1" "$(proof_script "$1")" ;;
        esac
        return
    fi
    lane_build "$1" || report "$1" build 0 1 0 0.0 "see build/$(lane_folder "$1").log"
    [ -n "$quick" ] || build_ahead "$2"
    [ "$1" != conformance ] || run_program conformance scenarios tools/test-scenarios
    if [ "$1" = examples ]; then run_examples; else run_tests "$1"; fi
}

test_main()
{
    local lanes='' word conformance='' i
    quick='' filters=''
    ulimit -c 0 # tests that crash on purpose leave no core
    for word in "$@"; do
        if [ "$word" = --quick ]; then
            quick=1
        elif [ "$word" = conformance ]; then
            conformance=1
        elif lane_exists "$word"; then
            lanes="$lanes $word"
        else
            case "$word" in -*) die "test: no option '$word'" ;; esac
            filters="$filters $word"
        fi
    done
    # A lane of its own when no other is named: the plain build. Beside another lane: these tests of that lane.
    if [ -n "$conformance" ]; then
        if [ -n "$lanes" ]; then filters="$filters conformance"; else lanes=conformance; fi
    fi
    [ -n "$lanes" ] || { [ -n "$quick" ] && lanes=$quick_lanes || lanes=$all_lanes; }
    read -ra lanes <<<"$lanes"
    start_early "${lanes[@]}"
    for i in "${!lanes[@]}"; do run_lane "${lanes[i]}" "${lanes[i + 1]:-}"; done
    [ -z "$failures" ] || printf '\nfailed:\n%s' "$failures"
    printf '\nin %s s:\n%s passed, %s failed' "$SECONDS" "$passed" "$failed"
    [ "$skipped" = 0 ] || printf ', %s skipped' "$skipped"
    printf '\n'
    [ "$failed" = 0 ] && [ "$passed" != 0 ]
}
