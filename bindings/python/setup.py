"""Adds the C extension where it can be built; without it the package is pure Python and uses ctypes.

PKG_CONFIG_PATH leads to tokenbucket.pc. TOKENBUCKET_STATIC=1 links the library in: such a wheel needs no other file.
"""

import glob
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig

from setuptools import Extension, setup

# The first version whose stable ABI has the fast calling convention.
STABLE_ABI = (3, 10)
PKG_CONFIG = os.environ.get("PKG_CONFIG", "pkg-config")


def pkg_config(*what):
    return shlex.split(subprocess.check_output([PKG_CONFIG, *what, "tokenbucket"], text=True))


def missing():
    """Why the extension cannot be built, or None."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if sys.implementation.name != "cpython" or sys.version_info < STABLE_ABI:
        return "it needs CPython %d.%d" % STABLE_ABI
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a free-threaded Python has no stable ABI"
    if shutil.which(compiler) is None:
        return f"there is no C compiler {compiler}"
    if not os.path.exists(header):
        return f"there is no {header} (Debian: python3-dev)"
    if shutil.which(PKG_CONFIG) is None:
        return f"there is no {PKG_CONFIG}"
    if subprocess.run([PKG_CONFIG, "--exists", "tokenbucket"]).returncode != 0:
        return f"{PKG_CONFIG} does not find tokenbucket: set PKG_CONFIG_PATH"
    return None


def link():
    if os.environ.get("TOKENBUCKET_STATIC") == "1":
        archive = os.path.join(*pkg_config("--variable=libdir"), "libtokenbucket.a")
        return [archive, "-Wl,--exclude-libs,ALL"]
    return pkg_config("--libs")


def extension():
    return Extension(
        "tokenbucket._native",
        sorted(glob.glob("src/native/*.c")),
        depends=glob.glob("src/native/*.h"),
        define_macros=[("Py_LIMITED_API", "0x%02x%02x0000" % STABLE_ABI)],
        extra_compile_args=["-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra", *pkg_config("--cflags")],
        extra_link_args=link(),
        py_limited_api=True,
    )


reason = missing()
if reason is None:
    setup(
        ext_modules=[extension()],
        options={
            "bdist_wheel": {"py_limited_api": "cp%d%d" % STABLE_ABI},
            # How it is linked is asked by the environment, which no file's time shows.
            "build_ext": {"force": True},
        },
    )
else:
    print(f"tokenbucket: the C extension is not built: {reason}. The package will use ctypes.", file=sys.stderr)
    setup()
