"""Conan 2 recipe: `conan create capi/packaging/conan` builds the sources that it lies in.

Not tested with Conan itself. A test calls its methods with stand-ins for Conan's modules.
"""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rm, rmdir


class TokenbucketConan(ConanFile):
    name = "tokenbucket"
    description = "An exact, lock-free token-bucket rate limiter"
    license = "MIT"
    topics = ("rate-limiter", "token-bucket")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": True}

    def set_version(self):
        self.version = load(self, os.path.join(self.recipe_folder, "..", "..", "VERSION")).strip()

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..", "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "capi/*", "core/*", "bindings/cpp/include/*"):
            copy(self, pattern, root, self.export_sources_folder)

    def configure(self):
        # What crosses the boundary is C.
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("tokenbucket needs Linux")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["TOKENBUCKET_TESTS"] = False
        toolchain.cache_variables["TOKENBUCKET_REDIS"] = "OFF"
        toolchain.cache_variables["TOKENBUCKET_EXAMPLES"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        libraries = os.path.join(self.package_folder, "lib")
        rm(self, "*.a" if self.options.shared else "*.so*", libraries)
        # Conan makes its own.
        rmdir(self, os.path.join(libraries, "cmake"))
        rmdir(self, os.path.join(libraries, "pkgconfig"))

    def package_info(self):
        self.cpp_info.libs = ["tokenbucket"]
        self.cpp_info.set_property("cmake_file_name", "tokenbucket")
        self.cpp_info.set_property("cmake_target_name", "tokenbucket::tokenbucket")
        self.cpp_info.set_property("pkg_config_name", "tokenbucket")
