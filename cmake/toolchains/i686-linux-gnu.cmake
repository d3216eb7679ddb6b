set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER i686-linux-gnu-gcc)
find_program(XVM_CROSS_CXX i686-linux-gnu-g++) # only xvm.hpp and the header check want it
if(XVM_CROSS_CXX)
  set(CMAKE_CXX_COMPILER ${XVM_CROSS_CXX})
endif()
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static") # x86-64 kernels run it directly; no i386 libc needed
set(CMAKE_FIND_ROOT_PATH /usr/i686-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
