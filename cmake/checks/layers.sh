#!/bin/sh
# Who may include whom, and where a system may be named at all. Run in the top folder; prints what breaks a rule.
set -u
broken=0

# forbid <what is wrong> <lines that break it>
forbid() {
    [ -n "$2" ] || return 0
    printf '%s:\n%s\n' "$1" "$2"
    broken=1
}

# may_include <pattern of what may stand behind #include> <file>...
may_include() {
    allowed=$1
    shift
    for file; do
        [ -e "$file" ] || continue
        forbid "may not be included here" "$(grep -nHE '^[[:space:]]*#[[:space:]]*include' "$file" |
            grep -vE "include +($allowed)")"
    done
}

plain='<(assert|limits|stdalign|stdbool|stddef|stdint|stdlib|string)\.h>' # C itself, nothing of a system
clients=$(ls src/growth.c src/array.c src/arena.c src/pool*.[ch] src/snapshot/*.[ch] src/heap/*.[ch] 2>/dev/null)

may_include '<(limits|stdbool|stddef|stdint|string)\.h>|"xvm/[a-z]+\.h"' include/xvm/*.h
may_include '<[a-z_]+>|"xvm/xvm\.h"' include/xvm/*.hpp # C++ itself
may_include "$plain|\"xvm/[a-z]+\.h\"" src/pages.h src/os.h
may_include "$plain|\"(lock|os|pagemap|xvm/[a-z]+)\.h\"" src/watch.h
may_include "$plain|\"(lock|range|xvm/[a-z]+)\.h\"" src/watched.h
may_include "$plain|\"(os|pages|thread_id|xvm/[a-z]+)\.h\"" src/lock.h src/tell.h src/failure.h src/pagemap.h src/budget.h src/register.h src/text.h src/image.h src/aside.h
may_include '<.*>|"(call|cgroup|kept|lock|os|pages|path|read|scan|shared|tell|thread_id)\.h"' src/posix/*.[ch] src/win32/*.[ch]
for file in src/*.c; do
    case $clients in
    *"$file"*) ;;
    *) may_include "$plain|\"(aside|budget|failure|image|lock|os|pagemap|pages|range|register|tell|text|watch|watched|xvm/[a-z]+)\.h\"" "$file" ;;
    esac
done

# What grows on regions uses them as anybody could: no way around the public calls.
for file in $clients; do
    may_include "$plain|\"(failure|heap|image|lock|pages|pool|snapshot|tell|text|xvm/[a-z]+)\.h\"" "$file"
    forbid "a client of region.h that calls the system's half" "$(grep -nHE 'xvm_os_' "$file" |
        grep -vE 'xvm_os_(fail_at|site|answer|cause|tell_[a-z]+|pool_[a-z_]+|heap_[a-z_]+|image(_[a-z]+)*|snapshots_[a-z_]+|watch_forks|stop|[gs]et_error)|XVM_OS_TELL|XVM_OS_SNAPSHOTS')"
done

# Examples, tools and benchmarks see what a user sees, and what lies beside them.
for file in examples/*.[ch] examples/*.cpp tools/*.[ch] bench/*.[ch] bench/*.cpp; do
    beside=$(cd "$(dirname "$file")" 2>/dev/null && echo *.h | tr ' ' '|')
    may_include "<[a-z0-9_]+(\.h)?>|<xvm/[a-z]+\.h(pp)?>|\"(xvm/[a-z]+\.h(pp)?|$beside)\"" "$file"
done
for file in malloc/*.[ch]; do # for one system alone, as its folder says
    may_include '<[a-z/]+\.h>|"(xvm/heap|process|harness)\.h"' "$file"
done
for file in examples/*/*.c tools/*/*.c bench/*/*.c; do # the halves that differ by system
    beside=$(cd "$(dirname "$file")/.." 2>/dev/null && echo *.h | tr ' ' '|')
    may_include "<[a-z/]+\.h>|\"(\.\./)?(xvm/[a-z]+\.h|$beside)\"" "$file"
done

forbid "a system is named outside the folders posix and win32" "$(
    grep -rnE --include='*.[ch]' --include='*.[ch]pp' '_WIN32|__linux__|__APPLE__|windows\.h|sys/mman\.h' \
        include src tests examples tools bench 2>/dev/null | grep -vE '^[^:]*/(posix|win32)/')"

exit $broken
