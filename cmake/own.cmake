# own.cmake - what our own targets and test entries have in common. Nothing of it reaches a consumer.

# C11 or C++17 to the letter, all warnings, sanitizers.
function(xvm_own target)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
    CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
    C_VISIBILITY_PRESET hidden)
  if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
      $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
      $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
      $<$<BOOL:${XVM_WERROR}>:-Werror>)
  endif()
  if(XVM_SANITIZE)
    string(REPLACE ";" "," sanitizers "${XVM_SANITIZE}")
    target_compile_options(${target} PRIVATE
      -fsanitize=${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    # INTERFACE: who links instrumented code needs the sanitizer's runtime
    target_link_options(${target} PUBLIC $<BUILD_INTERFACE:-fsanitize=${sanitizers}>)
  endif()
endfunction()

# C++ in this folder, where there is a compiler for it: CMAKE_CXX_COMPILER then is true. In a toolchain with
# XVM_NO_CXX_LIBRARY it compiles, but has no library to link with.
macro(xvm_find_cxx)
  include(CheckLanguage)
  if(NOT CMAKE_CROSSCOMPILING OR CMAKE_CXX_COMPILER) # a toolchain file names the one that it found
    check_language(CXX)
  endif()
  if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
  endif()
endmacro()

# One of our programs: xvm_program(<target> <source>...)
function(xvm_program target)
  add_executable(${target} ${ARGN})
  xvm_own(${target})
endfunction()

# Every test entry is made here; it runs in the top folder of the source:
#   xvm_entry(<name> COMMAND <program> <argument>... [LABELS <label>...] [TIMEOUT <seconds>]
#             [ENVIRONMENT <VAR=value>...] [SERIAL])
function(xvm_entry name)
  cmake_parse_arguments(PARSE_ARGV 1 A "SERIAL" "TIMEOUT" "COMMAND;LABELS;ENVIRONMENT")
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300) # for a machine that is busy with other things
  endif()
  if(NOT A_SERIAL)
    set(A_SERIAL OFF)
  endif()
  if(CMAKE_CROSSCOMPILING_EMULATOR)
    list(APPEND A_ENVIRONMENT XVM_TEST_EMULATED=1)
  endif()
  set(name "${XVM_TEST_PREFIX}${name}")
  add_test(NAME "${name}" COMMAND ${A_COMMAND})
  set_tests_properties("${name}" PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT}
    ENVIRONMENT "${A_ENVIRONMENT}" RUN_SERIAL ${A_SERIAL} SKIP_RETURN_CODE 77
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  if(XVM_EMULATOR_IS_WINE) # see tests/CMakeLists.txt
    set_tests_properties("${name}" PROPERTIES FIXTURES_REQUIRED "${XVM_TEST_PREFIX}wine")
  endif()
endfunction()
