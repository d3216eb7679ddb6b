set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
find_program(XVM_CROSS_CXX aarch64-linux-gnu-g++) # only xvm.hpp and the header check want it
if(XVM_CROSS_CXX)
  set(CMAKE_CXX_COMPILER ${XVM_CROSS_CXX})
endif()
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static") # the emulator needs no AArch64 libc
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
find_program(XVM_QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(XVM_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR "${XVM_QEMU}")
  set(XVM_EMULATED_PAGES 16 64) # KiB that this processor's kernels have besides 4: -p
endif()
