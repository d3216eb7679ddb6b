# package.cmake - what cpack makes of a build tree: a .deb, or a .zip for Windows, with all that is installed.
set(CPACK_GENERATOR DEB)
if(WIN32)
  set(CPACK_GENERATOR ZIP)
endif()
set(CPACK_PACKAGE_VENDOR "the xvm authors")
set(CPACK_PACKAGE_CONTACT "${CPACK_PACKAGE_VENDOR} <xvm@localhost>")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)

# Toolchain files know the processor, cpack would take the machine's.
string(TOLOWER ${CMAKE_SYSTEM_NAME} name)
set(CPACK_SYSTEM_NAME ${name}-${CMAKE_SYSTEM_PROCESSOR})

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "A library in C11: reserve address space, commit memory into it, give it back;
arrays, arenas, pools and heaps that never move. With headers, documents, and the tool xvm.")
find_program(XVM_DPKG_SHLIBDEPS dpkg-shlibdeps)
if(XVM_DPKG_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
else()
  set(CPACK_DEBIAN_PACKAGE_DEPENDS libc6)
endif()
include(CPack)
