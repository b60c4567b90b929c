# lanes.sh: the ways in which the tree is built. Sourced by ./dev.
#
# A lane is a build folder build/LANE with its own compiler and options. Some lanes (examples, headers, lint,
# conformance) have no meson build of their own; they use one that another lane made. The proof lanes (model,
# sim, ...) are each a script of their own, tools/test-LANE, which builds what it needs below build/LANE and prints a
# summary.

proof_lanes="freeze faults surroundings soak coverage model sim facade"
all_lanes="lint headers gcc examples clang asan asan-clang tsan lto lto-clang valgrind $proof_lanes"
extra_lanes="conformance mutants" # only when asked for: a part of the other lanes; minutes long
quick_lanes="lint headers gcc examples"

is_proof_lane() { case " $proof_lanes mutants " in *" $1 "*) true ;; *) false ;; esac; }
proof_script() { if [ "$1" = coverage ]; then echo tools/coverage; else echo "tools/test-$1"; fi; }
lane_exists() { case " $all_lanes $extra_lanes " in *" $1 "*) true ;; *) false ;; esac; }

lane_needs()
{
    case "$1" in
    gcc | examples | conformance) need $packages_test ;;
    headers) need $packages_test g++ ;;
    lint) if [ -n "${quick:-}" ]; then need $packages_test; else need $packages_lint; fi ;;
    model) need $packages_test g++ relacy-dev ;;
    mutants) need $packages_lanes relacy-dev python3 ;;
    facade) need $packages_test clang python3 ;;
    sim | freeze | soak | surroundings | coverage) need $packages_test python3 ;;
    *) need $packages_lanes ;;
    esac
}

# The programs without which a lane cannot run, on a machine where apt-get could not be asked.
lane_programs()
{
    echo gcc meson ninja
    case "$1" in
    clang | asan-clang | tsan) echo clang ld.lld ;;
    lto-clang) echo clang ld.lld llvm-ar ;;
    asan | faults) echo ld.lld ;;
    valgrind) echo valgrind ld.lld ;;
    headers | model) echo g++ ;;
    mutants) echo g++ clang python3 ;;
    freeze | facade | coverage) echo python3 ;;
    esac
}

# Says why a lane cannot run on this machine, or nothing.
lane_lacks()
{
    local program
    (lane_needs "$1") || { echo "its packages cannot be installed"; return; }
    for program in $(lane_programs "$1"); do
        command -v "$program" >/dev/null || { echo "$program is not installed"; return; }
    done
}

# The build folder that a lane runs from.
lane_folder()
{
    case "$1" in
    examples | headers | lint | conformance) echo gcc ;;
    *) echo "$1" ;;
    esac
}

# meson's options, one set a lane. The sanitizers get the costly checks as well. But for gcc's, they know lines and
# functions only (-g1), and with AddressSanitizer they are optimized little: a third of the time to compile. Tests are
# Criterion's in gcc only: it starts the program anew for each of a thousand tests.
lane_options()
{
    local plain="-Dfaults=true -Dbenches=false -Dexamples=false -Dc_args=-g1 -Dplain_runner=true"
    local sanitize="$plain -Dbuildtype=debugoptimized -Ddebug_checks=true"
    case "$1" in
    gcc) echo "-Dfaults=true -Dwerror=true" ;;
    clang) echo "$plain -Ddebug_checks=true -Dwerror=true" ;;
    asan) echo "$sanitize -Doptimization=1 -Db_sanitize=address,undefined" ;;
    asan-clang) echo "$sanitize -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false" ;;
    tsan) echo "$sanitize -Db_sanitize=thread -Db_lundef=false" ;;
    lto | lto-clang) echo "$plain -Db_lto=true" ;;
    valgrind) echo "$plain -Dbuildtype=debugoptimized -Dvalgrind=true" ;;
    bench) echo "-Db_lto=true -Dtests=false -Dexamples=false" ;;
    esac
}

# The compiler of a lane, as environment assignments. clang's LTO objects need LLVM's own linker and archiver; elsewhere
# that linker only needs a third of the time, of a hundred programs.
lane_compiler()
{
    case "$1" in
    lto-clang) echo "CC=clang CC_LD=lld AR=llvm-ar" ;;
    clang | asan-clang | tsan) echo "CC=clang CC_LD=lld" ;;
    asan | valgrind) echo "CC=gcc CC_LD=lld" ;;
    *) echo "CC=gcc" ;;
    esac
}

show_errors() { grep -E -A 4 'error: |ERROR: |undefined reference' "$1" | head -n 60 | sed 's/^/    | /'; }

# What is built of a lane: of most the test programs only, of valgrind what it runs.
lane_target()
{
    case "$1" in
    gcc | bench) ;;
    valgrind) echo unit-programs ;;
    *) echo test-programs ;;
    esac
}

# lane_build LANE [TARGET]: configures when needed and builds as much as can be built; what the tools say goes to
# build/LANE.log.
lane_build()
{
    local name folder log words
    name=$(lane_folder "$1")
    folder=build/$name
    log=$folder.log
    words="$(lane_compiler "$name") meson setup $(lane_options "$name") $folder"
    mkdir -p build
    # A folder that was set up in another way (or not to the end) is made anew.
    if [ ! -f "$folder/build.ninja" ] || [ "$words" != "$(cat "$folder/setup" 2>/dev/null)" ]; then
        rm -rf "$folder"
        # shellcheck disable=SC2086
        env $words >"$log" 2>&1 || { show_errors "$log"; return 1; }
        printf '%s\n' "$words" >"$folder/setup"
    fi
    # shellcheck disable=SC2046
    ninja -k 0 -C "$folder" ${2:-$(lane_target "$name")} >"$log" 2>&1 || { show_errors "$log"; return 1; }
}
