#!/bin/sh
# Every promised function, inline ones too, has a doc comment directly above it, with all its labels. Functions that stand
# together, with no empty line and no comment between, share one. Run in the top folder.
exec awk '
function finish(    i, n, labels) {
    count++
    name = prototype
    sub(/ *\(.*/, "", name)
    sub(/.*[ *]/, "", name)
    labels = "result threads since"
    # xvm_last_status cannot fail: the status is the result of another call.
    if (prototype ~ /^(XVM_API|static inline) xvm_status / && name != "xvm_last_status")
        labels = labels " errors linux windows"
    n = split(labels, label, " ")
    for (i = 1; i <= n; i++)
        if (!(label[i] in has))
            complain(name " has no \"" label[i] "\" in " (documented ? "its doc comment" : "a comment directly above"))
}
function complain(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; broken = 1 }
function forget() { split("", has); documented = 0 }

FNR == 1 { forget(); inside = 0; prototype = "" }

/^\/\*/ { forget(); inside = documented = 1 }
inside {
    if (match($0, /^ \* [a-z]+ +[^ ]/)) {
        split($0, word, " ")
        has[word[2]] = 1
    }
    if (/\*\//)
        inside = 0
    next
}

/^XVM_API / { prototype = "" ; open = 1 }
/^static inline / && /xvm_[a-z0-9_]+\(/ { prototype = "" ; open = 1 }
open {
    prototype = prototype " " $0
    if (/;/ || /\)$/ || /^{/) { # an inline function has its body there
        sub(/^ /, "", prototype)
        finish()
        open = 0
    }
    next
}
/^(const |unsigned )?[a-z_]+ \**xvm_[a-z_]+\(/ { complain("a function without XVM_API: " $0) }
/^$/ { forget() }

END {
    printf "%d functions\n", count
    exit broken || count == 0
}' include/xvm/*.h
