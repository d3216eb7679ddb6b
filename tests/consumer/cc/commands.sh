# shellcheck shell=sh
cd third_party/xvm || exit
program=../../main.c
case $XVM_SUFFIX in
.exe)
    cc -std=c11 -Iinclude -Isrc -Isrc/win32 "$program" @sources/portable @sources/win32 -o consumer
    run ./consumer ;;
*)
    cc -std=c11 -Iinclude -Isrc -Isrc/posix "$program" @sources/portable @sources/posix @sources/linux -o consumer
    run ./consumer
    # What is for systems that are not known works on one that is.
    cc -std=c11 -Iinclude -Isrc -Isrc/posix "$program" @sources/portable @sources/posix @sources/none -o consumer_none
    run ./consumer_none ;;
esac

# In the one file of all files each has kept its own: the same functions, each variable as often. Names are
# made different there as src_<file>__<name>, and numbered where they are static inside of functions.
names() { nm "$1$XVM_SUFFIX" | sed -En 's/^[0-9a-f]* ([tbdTBD]) (src_[a-z0-9_]+__)?([A-Za-z_].*)$/\1 \3/p' | sed -E 's/\.[0-9]+$//' | sort; }
cmake -DOUT=one/xvm -P cmake/amalgamate.cmake
cc -std=c11 -Ione "$program" one/xvm/xvm.c -o consumer_one
for kind in '[tT]' '[bdBD]'; do
    for name in consumer consumer_one; do
        names $name | grep "^$kind" | if [ "$kind" = '[tT]' ]; then uniq; else cat; fi >$name.names
    done
    diff consumer.names consumer_one.names || die "other functions or variables"
    say "$(wc -l <consumer.names) names $kind"
done
