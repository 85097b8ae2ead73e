"""Builds the package with the C extension: with the installed library, or else with the library compiled into it.

PKG_CONFIG_PATH leads to the tokenbucket.pc of an installed library; TOKENBUCKET_STATIC=1 links its static one in. Where
no extension can be built the package uses ctypes, for which the library must be installed.
"""

import ctypes
import glob
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# The first version whose stable ABI has the fast calling convention.
STABLE_ABI = (3, 10)
PKG_CONFIG = os.environ.get("PKG_CONFIG", "pkg-config")
CXX = shlex.split(os.environ.get("CXX", "c++"))
HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.join(HERE, "..", "..")


def pkg_config(*what):
    return shlex.split(subprocess.check_output([PKG_CONFIG, *what, "tokenbucket"], text=True))


def is_installed():
    """Whether pkg-config finds the library."""
    return shutil.which(PKG_CONFIG) and subprocess.run([PKG_CONFIG, "--exists", "tokenbucket"]).returncode == 0


def sources():
    """The folder of the library's sources: in a source archive "library", else the tree around this; None without."""
    folders = [os.path.join(HERE, "library"), TREE]
    return next((folder for folder in folders if os.path.exists(os.path.join(folder, "core", "sources.txt"))), None)


def missing():
    """Why the extension cannot be built, or None."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if sys.implementation.name != "cpython" or sys.version_info < STABLE_ABI:
        return "the extension needs CPython %d.%d" % STABLE_ABI
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a free-threaded Python has no stable ABI"
    if shutil.which(compiler) is None:
        return f"there is no C compiler {compiler}"
    if not os.path.exists(header):
        return f"there is no {header}"
    if not is_installed() and sources() is None:
        return f"{PKG_CONFIG} finds no installed library, and its sources are not here"
    if not is_installed() and shutil.which(CXX[0]) is None:
        return f"{PKG_CONFIG} finds no installed library, and to build it there is no C++ compiler {CXX[0]}"
    return None


def has_library_for_ctypes():
    try:
        return bool(ctypes.CDLL("libtokenbucket.so.1"))
    except OSError:
        return False


class Refusal(build):
    def run(self):
        raise SystemExit(
            f"tokenbucket cannot be built: {reason}; and ctypes finds no libtokenbucket.so.1.\n"
            "On Debian or Ubuntu: sudo apt install g++ python3-dev"
        )


def lines(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read().split()


class WithLibrary(build_ext):
    """Compiles the library into the extension. All of it links as C: there is no run-time part of C++ in it."""

    def build_extension(self, ext):
        folder = sources()
        platform = os.path.join("core", "platform", "linux" if sys.platform == "linux" else "posix")
        flags = ["-std=c++20", "-O2", "-DNDEBUG", "-fPIC", *lines(folder, "capi", "cxxflags.txt"), "-DTB_API="]
        flags += ["-D_FILE_OFFSET_BITS=64", '-DTOKENBUCKET_VERSION="%s"' % lines(folder, "capi", "VERSION")[0]]
        flags += ["-I" + folder, "-I" + os.path.join(folder, platform), *shlex.split(os.environ.get("CXXFLAGS", ""))]
        if sysconfig.get_platform() in ("linux-i386", "linux-i686"):
            flags += ["-msse2", "-mfpmath=sse"]

        def compile_one(source):
            target = os.path.join(self.build_temp, "library", source + ".o")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            subprocess.run([*CXX, *flags, "-c", os.path.join(folder, source), "-o", target], check=True)
            return target

        names = [name for part in ("core", "capi", platform) for name in lines(folder, part, "sources.txt")]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                ext.extra_objects = list(pool.map(compile_one, names))
            except subprocess.CalledProcessError as error:
                raise SystemExit(f"tokenbucket needs a C++20 compiler, such as gcc 10 or clang 12: {error}") from None
        ext.include_dirs.append(os.path.join(folder, "capi", "include"))
        ext.extra_link_args += lines(folder, platform, "libs.txt")
        super().build_extension(ext)


class WithSources(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        collect = os.path.join(TREE, "capi", "packaging", "collect_sources")
        if os.path.exists(collect):
            subprocess.run([collect, os.path.join(base_dir, "library")], check=True)


def extension():
    compile_args, link_args = ["-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"], []
    if is_installed():
        compile_args += pkg_config("--cflags")
        if os.environ.get("TOKENBUCKET_STATIC") == "1":
            link_args = [os.path.join(*pkg_config("--variable=libdir"), "libtokenbucket.a")]
        else:
            link_args = pkg_config("--libs")
    return Extension(
        "tokenbucket._native",
        sorted(glob.glob("src/native/*.c")),
        depends=glob.glob("src/native/*.h"),
        define_macros=[("Py_LIMITED_API", "0x%02x%02x0000" % STABLE_ABI)],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        py_limited_api=True,
    )


commands = {"sdist": WithSources}
reason = missing()
if reason is None:
    if not is_installed():
        commands["build_ext"] = WithLibrary
    setup(
        cmdclass=commands,
        ext_modules=[extension()],
        options={
            "bdist_wheel": {"py_limited_api": "cp%d%d" % STABLE_ABI},
            # How it is linked is asked by the environment, which no file's time shows.
            "build_ext": {"force": True},
        },
    )
else:
    if has_library_for_ctypes():
        print(f"tokenbucket: no extension is built: {reason}. The package will use ctypes.", file=sys.stderr)
    else:
        commands["build"] = Refusal
    setup(cmdclass=commands)
