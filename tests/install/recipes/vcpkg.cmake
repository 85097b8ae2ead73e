# Runs the vcpkg port with stand-ins for vcpkg's functions: cmake -DPORT= -DBUILD= -DCURRENT_PACKAGES_DIR=
# -DVCPKG_LIBRARY_LINKAGE= -P vcpkg.cmake. What is installed is what BUILD, a CMake build, has built.
cmake_minimum_required(VERSION 3.22)
set(CURRENT_PORT_DIR ${PORT})

function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" SOURCE_PATH OPTIONS)
  file(READ "${arg_SOURCE_PATH}/CMakeLists.txt" project)
  foreach(option IN LISTS arg_OPTIONS)
    string(REGEX MATCH "^-D([A-Z_]+)=" matched "${option}")
    if(NOT project MATCHES "(option|set)\\(${CMAKE_MATCH_1} ")
      message(FATAL_ERROR "the port sets ${option}, which is no option")
    endif()
  endforeach()
endfunction()

function(vcpkg_cmake_install)
  execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${CURRENT_PACKAGES_DIR} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(vcpkg_fixup_pkgconfig)
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" FILE_LIST)
  file(INSTALL ${arg_FILE_LIST} DESTINATION "${CURRENT_PACKAGES_DIR}/share/tokenbucket")
endfunction()

include(${PORT}/portfile.cmake)
