# Stand-ins for the functions that vcpkg gives a port, as far as ours uses them.
set(CURRENT_PACKAGES_DIR ${PACKAGES})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGV}")
  endif()
endfunction()

function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 A "" "SOURCE_PATH" "OPTIONS")
  run(${CMAKE_COMMAND} -S ${A_SOURCE_PATH} -B release -G Ninja ${A_OPTIONS}
    -DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR})
endfunction()

function(vcpkg_cmake_install)
  run(${CMAKE_COMMAND} --build release --target install)
endfunction()

function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 A "" "CONFIG_PATH" "")
  if(NOT EXISTS ${CURRENT_PACKAGES_DIR}/${A_CONFIG_PATH}/xvmConfig.cmake)
    message(FATAL_ERROR "the port looks for the package's files in ${A_CONFIG_PATH}")
  endif()
endfunction()

function(vcpkg_fixup_pkgconfig)
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 A "" "" "FILE_LIST")
  file(INSTALL ${A_FILE_LIST} DESTINATION ${CURRENT_PACKAGES_DIR}/share/xvm RENAME copyright)
endfunction()

include(${PORT}/portfile.cmake)
