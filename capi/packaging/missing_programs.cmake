# Included before project(), which would name what is missing one by one, and no package. Looks where PATH leads; what the
# user names is not looked for.
set(missing_programs "")
set(missing_packages "")

function(need_program what package)
  find_program(found NAMES ${ARGN} NO_CACHE)
  if(NOT found)
    set(missing_programs ${missing_programs} ${what} PARENT_SCOPE)
    set(missing_packages ${missing_packages} ${package} PARENT_SCOPE)
  endif()
endfunction()

if(CMAKE_GENERATOR STREQUAL "Unix Makefiles" AND NOT CMAKE_MAKE_PROGRAM)
  need_program(make make gmake make)
elseif(CMAKE_GENERATOR STREQUAL "Ninja" AND NOT CMAKE_MAKE_PROGRAM)
  need_program(ninja ninja-build ninja-build ninja samu)
endif()
if(NOT CMAKE_TOOLCHAIN_FILE AND NOT DEFINED ENV{CMAKE_TOOLCHAIN_FILE})
  if(NOT CMAKE_C_COMPILER AND NOT DEFINED ENV{CC})
    need_program("a C compiler" gcc cc gcc clang)
  endif()
  if(NOT CMAKE_CXX_COMPILER AND NOT DEFINED ENV{CXX})
    need_program("a C++ compiler" g++ c++ g++ clang++)
  endif()
endif()

if(missing_programs)
  list(JOIN missing_programs ", " missing_programs)
  list(JOIN missing_packages " " missing_packages)
  message(FATAL_ERROR "tokenbucket cannot be built without ${missing_programs}.\n"
                      "On Debian or Ubuntu: sudo apt install ${missing_packages}")
endif()
