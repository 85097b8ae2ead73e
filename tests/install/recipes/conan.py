"""Calls the methods of the Conan recipe with stand-ins for Conan's modules: conan.py RECIPE EXPORTED PACKAGE.

EXPORTED gets the sources that the recipe exports; PACKAGE, an installed tree, becomes what the recipe makes of it.
"""

import pathlib
import runpy
import shutil
import sys
import types


class ConanFile:
    pass


def copy(_recipe, pattern, source, target):
    for found in pathlib.Path(source).glob(pattern.replace("/*", "/**/*")):
        if found.is_file():
            place = pathlib.Path(target) / found.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, place)


def rm(_recipe, pattern, folder):
    for found in pathlib.Path(folder).glob(pattern):
        found.unlink()


def module(name, **content):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(content)


class Cmake:
    def __init__(self, _recipe):
        pass

    def install(self):
        pass


def main(recipe_file, exported, package):
    module("conan", ConanFile=ConanFile)
    module("conan.errors", ConanInvalidConfiguration=ValueError)
    module("conan.tools")
    module("conan.tools.cmake", CMake=Cmake, CMakeToolchain=None, cmake_layout=None)
    load = lambda _recipe, path: pathlib.Path(path).read_text(encoding="utf-8")
    module("conan.tools.files", copy=copy, load=load, rm=rm, rmdir=lambda _recipe, path: shutil.rmtree(path))
    recipe = runpy.run_path(recipe_file)["TokenbucketConan"]()
    recipe.recipe_folder = str(pathlib.Path(recipe_file).parent)
    recipe.export_sources_folder = recipe.source_folder = exported
    recipe.package_folder = package
    recipe.options = types.SimpleNamespace(shared=False)
    recipe.set_version()
    recipe.export_sources()
    recipe.package()
    print(recipe.version)


if __name__ == "__main__":
    main(*sys.argv[1:])
