#!/bin/sh
# Every C and C++ snippet of the documents stands, word for word, in an example that is built and run. Run in the top folder.
set -eu
awk '
FNR == NR || FILENAME ~ /\.(c|cpp)$/ { text[FILENAME] = text[FILENAME] $0 "\n"; next }
/^```c(pp)?$/ { inside = 1; snippet = ""; line = FNR; next }
/^```$/ && inside {
    inside = found = 0
    for (file in text)
        if (index(text[file], snippet))
            found = 1
    count++
    if (!found) { printf "%s:%d: this snippet stands in no example\n", FILENAME, line; broken = 1 }
    next
}
inside { snippet = snippet $0 "\n" }
END { printf "%d snippets\n", count; exit broken || count == 0 }' examples/*.c examples/*.cpp README.md docs/*.md
