#!/bin/sh
# check.sh <C compiler> holds|moves [<mutant>]: looks at every state of ring.pml. Run in the top folder.
#   holds   no byte is ever wrong
#   moves   and whatever happens, the consumer goes on getting bytes, if every process gets its turns
# With a mutant spin must find the mistake; without, there must be none.
set -eu
compiler=$1 question=$2 mutant=${3:-}
here=$(pwd)/tests/spin/ring.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

case $question in
holds) flags="-DSAFETY ${mutant:+-DBFS}" options= ;; # breadth first: a mistake is found by the shortest way
moves) flags="-DNP -DNFAIR=2" options="-l -f" ;;
*) echo "holds or moves"; exit 2 ;;
esac
spin ${mutant:+"-D$mutant"} -a "$here"
# shellcheck disable=SC2086 # words on purpose
"$compiler" -O1 -w $flags -o pan pan.c
# shellcheck disable=SC2086
./pan $options -m2000000 >report
sed -n '/^pan:1:/p; /errors:/p; /states, stored/p' report
if grep -q -e 'search depth too small' -e 'Search not completed' report && [ -z "$mutant" ]; then
    echo "not all states were looked at"
    exit 1
fi
case $mutant in
'') grep -q 'errors: 0$' report ;;
*) grep -q -e '^pan:1: assertion violated' -e '^pan:1: non-progress cycle' report ;;
esac
