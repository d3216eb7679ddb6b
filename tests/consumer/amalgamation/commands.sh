# shellcheck shell=sh
cmake -DOUT=xvm -P third_party/xvm/cmake/amalgamate.cmake
rm -r third_party

cc -std=c11 -Wall -Wextra -Werror -I. main.c xvm/xvm.c -o consumer
run ./consumer

# For systems that are not known, where there is another that is.
[ "$XVM_SUFFIX" = .exe ] || cc -std=c11 -Wall -Wextra -Werror -U__linux__ -fsyntax-only xvm/xvm.c

# One object for C and C++.
[ -n "$CXX" ] || exit 0
cc -std=c11 -Wall -Wextra -Werror -c xvm/xvm.c
c++ -std=c++17 -Wall -Wextra -Werror -I. main.cpp xvm.o -o consumer_cpp
run ./consumer_cpp
c++ -std=c++20 -Wall -Wextra -Werror -I. main.cpp xvm.o -o consumer_cpp
run ./consumer_cpp
