# vcpkg install tokenbucket --overlay-ports=capi/packaging/vcpkg builds the sources that this port lies in.
#
# Not tested with vcpkg itself. A test runs this file with stand-ins for vcpkg's functions and uses what it installs.

cmake_path(SET source NORMALIZE "${CURRENT_PORT_DIR}/../../../..")

# A C library without assertions in its header: programs of every configuration link the same one.
set(VCPKG_BUILD_TYPE release)
vcpkg_cmake_configure(SOURCE_PATH "${source}" OPTIONS -DTOKENBUCKET_TESTS=OFF -DTOKENBUCKET_EXAMPLES=OFF
                      -DTOKENBUCKET_REDIS=OFF)
vcpkg_cmake_install()
vcpkg_fixup_pkgconfig()

# The build makes both libraries, vcpkg wants the triplet's.
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
  file(GLOB unwanted "${CURRENT_PACKAGES_DIR}/lib/libtokenbucket.so*")
else()
  set(unwanted "${CURRENT_PACKAGES_DIR}/lib/libtokenbucket.a")
endif()
file(REMOVE ${unwanted})

# The CMake package finds everything from where it lies, which for vcpkg is another folder.
file(RENAME "${CURRENT_PACKAGES_DIR}/lib/cmake/tokenbucket" "${CURRENT_PACKAGES_DIR}/share/tokenbucket")
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib/cmake")
set(package "${CURRENT_PACKAGES_DIR}/share/tokenbucket/tokenbucket-config.cmake")
file(READ "${package}" text)
string(REPLACE "\"../../../include\"" "\"../../include\"" text "${text}")
string(REPLACE "\${_tokenbucket_dir}/../..\"" "\${_tokenbucket_dir}/../../lib\"" text "${text}")
file(WRITE "${package}" "${text}")

vcpkg_install_copyright(FILE_LIST "${source}/LICENSE")
