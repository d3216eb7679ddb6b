# One file for both mingw-w64 targets; the two files beside it only name the target.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR ${XVM_MINGW_ARCH})
set(target ${XVM_MINGW_ARCH}-w64-mingw32)
set(CMAKE_C_COMPILER ${target}-gcc)
find_program(XVM_MINGW_CXX ${target}-g++) # only xvm.hpp and the header check want it
if(XVM_MINGW_CXX)
  set(CMAKE_CXX_COMPILER ${XVM_MINGW_CXX})
endif()
set(CMAKE_RC_COMPILER ${target}-windres)
set(CMAKE_FIND_ROOT_PATH /usr/${target})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH) # so that CMAKE_PREFIX_PATH of a staged install works
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")  # no libgcc or libwinpthread DLL next to the tests

# Where we are not on Windows the tests run under Wine, in a prefix of their own: tests/wine_prefix.sh makes it
# and deletes it, so it must never be the user's.
if(CMAKE_HOST_UNIX)
  find_program(XVM_WINE NAMES wine wine64)
  if(XVM_WINE)
    set(dlls)
    if(XVM_MINGW_ARCH STREQUAL "i686" AND DEFINED ENV{XVM_WINE32_DLLS}) # for wine64's WoW64 mode
      set(dlls "WINEDLLPATH=$ENV{XVM_WINE32_DLLS}")
    endif()
    # Wine needs 0x7ffe0000 for itself, and its loader's break, which Linux puts anywhere in the GiB above the loader,
    # has that once in some thousand starts: the program then ends by 1, without a word. Where this process may not
    # ask for a fixed layout it is left to chance.
    set(fixed)
    execute_process(COMMAND setarch -R true RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
    if(refused EQUAL 0)
      set(fixed setarch -R)
    endif()
    set(CMAKE_CROSSCOMPILING_EMULATOR /usr/bin/env "WINEPREFIX=${CMAKE_BINARY_DIR}/wine-prefix" ${dlls}
      WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe,winedbg.exe= ${fixed} "${XVM_WINE}")
    set(XVM_EMULATOR_IS_WINE ON)
  endif()
endif()
