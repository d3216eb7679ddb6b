#!/bin/sh
# programs.sh <libxvm-malloc.so> <program> [<words of XVM_MALLOC>]: a real program says under the library what it
# says without. Its report on the standard error output shows that it had the library. Run in the top folder.
set -eu
library=$1
program=$2
words=${3:-}
here=$PWD/malloc/programs
source=$PWD
export LC_ALL=C TZ=UTC HOME=/nonexistent PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1

[ -r "$library" ] || { echo "no $library"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

need() {
    for tool; do
        command -v "$tool" >/dev/null || { echo "SKIP: no $tool here"; exit 77; }
    done
}

# Debian's own has the tests that are packaged; another one may stand before it in the path.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

# run_<program>: under what "$@" says, in a folder of its own; its standard output is what is compared.
run_python3() { "$@" "$python" "$here/work.py"; }

run_python3_short() { "$@" "$python" -S -E -c 'import json, re
words = re.findall("[a-z]+", "the quick brown fox jumps over the lazy dog " * 20)
counts = {word: words.count(word) for word in sorted(set(words))}
print(json.dumps(counts)); print(sorted(range(3000), key=lambda i: i * 7919 % 3001)[:5])'; }

# Their children must say nothing that is not expected: the map of the process shows the library, and there is no
# report. The times are no part of what is compared.
run_python3_tests() {
    "$@" "$python" -c 'import sys, unittest
if "libxvm-malloc.so" in open("/proc/self/maps").read():
    print("heap malloc: in the map", file=sys.stderr)
unittest.main(module=None)' -q test.test_json test.test_dict test.test_list test.test_re test.test_threading \
        >/dev/null 2>tests || true # what failed is compared as well
    grep '^heap malloc' tests >&2 || true
    sed -n 's/^Ran \([0-9]* tests\) .*/\1/p; /^OK/p; /^FAILED/p; /^ERROR/p; /^FAIL/p' tests
}

run_sqlite3() { "$@" sqlite3 file.db <"$here/work.sql"; }
run_lua() { "$@" "$lua" "$here/work.lua"; }

run_git() {
    export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    "$@" git init -q -b main .
    cp -R "$source/src" "$source/tests" "$source/docs" .
    for i in 1 2 3 4 5; do
        export GIT_AUTHOR_DATE="2001-01-0$i 00:00:00 +0000" GIT_COMMITTER_DATE="2001-01-0$i 00:00:00 +0000"
        for file in src/*.c docs/*.md; do echo "/* line $i */" >>"$file"; done
        "$@" git add .
        "$@" git commit -q -m "commit $i"
    done
    "$@" git gc -q --aggressive
    "$@" git fsck --full --strict
    "$@" git log --stat --format='%H %an %ad %s'
    "$@" git diff HEAD~3 HEAD
    "$@" git blame -s src/arena.c
}

run_gcc() {
    "$@" gcc -O2 -g -S -std=c11 -I"$source/include" -I"$source/src" -I"$source/src/posix" \
        "$source"/src/heap/*.c "$source/src/region.c" "$source/src/array.c" "$source/src/pool.c"
    cat ./*.s
}

run_gxx() { "$@" g++ -O1 -S -std=c++17 -o - "$here/work.cpp"; }

# A server of its own on a socket in the folder; its clients are the plain ones.
run_redis() {
    ln -sf "$server" redis-server
    "$@" ./redis-server --port 0 --unixsocket "$PWD/s" --save '' --daemonize no --logfile log >out 2>err &
    pid=$!
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ ! -S s ] || break
        sleep 0.3
    done
    LD_PRELOAD='' redis-benchmark -s "$PWD/s" -q -n 3000 -c 10 -d 300 -r 10000 -t set,get,lpush,lrange_100,sadd,zadd \
        >/dev/null 2>&1
    redis-cli -s "$PWD/s" flushall
    redis-cli -s "$PWD/s" <"$here/work.redis"
    redis-cli -s "$PWD/s" shutdown nosave
    wait "$pid"
    cat err >&2
}

case $program in
python3 | python3_short) need "$python" ;;
python3_tests)
    need "$python"
    "$python" -c 'import test.test_json, test.test_threading' 2>/dev/null || { echo "SKIP: no tests of Python here"; exit 77; } ;;
sqlite3) need sqlite3 ;;
lua) lua=$(command -v lua5.4 || command -v lua || true); need "${lua:-lua5.4}" ;;
git) need git ;;
gcc) need gcc ;;
gxx) need g++ ;;
redis)
    need redis-cli redis-benchmark
    server=$(command -v redis-server || command -v redis-check-rdb) # the same program by another name
    ;;
*) echo "no program '$program'"; exit 2 ;;
esac

# run <how> <word for env>...: one run, in a folder of the same name each time: some programs write it out.
run() {
    how=$1
    shift
    rm -rf "$work/run"
    mkdir "$work/run"
    set +e # or the shell would not look at what fails in there
    (set -e; cd "$work/run"; "run_$program" env "$@") >"$work/$how.out" 2>"$work/$how.err"
    status=$?
    set -e
    [ "$status" != 0 ] || return 0
    cat "$work/$how.out" "$work/$how.err"
    exit 1
}

[ "$program" = python3_tests ] || words="report $words"
run plain
run with LD_PRELOAD="$library" XVM_MALLOC="$words"
grep '^heap malloc' "$work/with.err" | tail -n 3
grep -q '^heap malloc' "$work/with.err" || { cat "$work/with.err"; echo "it ran without the library"; exit 1; }
if grep '^xvm: ' "$work/with.err"; then exit 1; fi
[ -s "$work/plain.out" ] || { echo "it says nothing"; exit 1; }
cmp "$work/plain.out" "$work/with.out" || { diff "$work/plain.out" "$work/with.out" | head -n 40; exit 1; }
echo "$(wc -c <"$work/plain.out") bytes are the same"
