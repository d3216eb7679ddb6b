# cmake -DKIND=... (see tests/CMakeLists.txt) -P run.cmake -- <emulator>...
# KIND install installs the library into STAGE. The others build main.c against it, each in its way, and run it.
set(emulator)
set(found NO)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(found)
    list(APPEND emulator "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(found YES)
  endif()
endforeach()
if(NOT CONFIG)
  set(CONFIG Release)
endif()

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGV}")
  endif()
endfunction()

if(KIND STREQUAL "install")
  file(REMOVE_RECURSE ${STAGE}) # a file that is no longer installed must be missed
  run(${CMAKE_COMMAND} --install ${LIBRARY} --prefix ${STAGE} --config ${CONFIG})
  return()
endif()

file(REMOVE_RECURSE ${BUILD})
file(MAKE_DIRECTORY ${BUILD})
set(program ${BUILD}/consumer${SUFFIX})
if(KIND STREQUAL "pkgconfig")
  find_program(PKGCONF NAMES pkgconf pkg-config)
  set(ENV{PKG_CONFIG_LIBDIR} ${STAGE}/${LIBDIR}/pkgconfig) # ours only: never the machine's own
  unset(ENV{PKG_CONFIG_PATH})
  run(${PKGCONF} --exists --print-errors "xvm >= ${VERSION}")
  execute_process(COMMAND ${PKGCONF} --cflags --libs xvm OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE)
  separate_arguments(flags UNIX_COMMAND "${flags} ${CFLAGS} ${LDFLAGS}")
  run(${CC} ${CMAKE_CURRENT_LIST_DIR}/main.c ${flags} -o ${program})
else()
  if(TOOLCHAIN)
    set(compiler -DCMAKE_TOOLCHAIN_FILE=${TOOLCHAIN})
  else()
    set(compiler -DCMAKE_C_COMPILER=${CC})
  endif()
  run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/${KIND} -B ${BUILD} -G ${GENERATOR} ${compiler}
    -DCMAKE_PREFIX_PATH=${STAGE} -DXVM_SOURCE=${SOURCE} -DXVM_WANTED=${VERSION} -DCMAKE_C_FLAGS=${CFLAGS}
    -DCMAKE_BUILD_TYPE=${CONFIG} -DCMAKE_CONFIGURATION_TYPES=${CONFIG}
    "-DCMAKE_RUNTIME_OUTPUT_DIRECTORY=${BUILD}/$<1:>")
  run(${CMAKE_COMMAND} --build ${BUILD} --config ${CONFIG})
endif()
run(${emulator} ${program})
