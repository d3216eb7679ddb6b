"""recipe.py <conanfile.py> <folder> <version>: runs a recipe's steps before the build, prints its CMake variables."""
import fnmatch
import os
import shutil
import sys
import types

path, folder, version = sys.argv[1:]


class Settings(dict):
    os = "Linux"

    def rm_safe(self, name):
        pass


class ConanFile:
    recipe_folder = os.path.dirname(path)
    export_sources_folder = folder


class CMakeToolchain:
    def __init__(self, conanfile):
        self.cache_variables = {}

    def generate(self):
        for name, value in self.cache_variables.items():
            print(f"-D{name}={'ON' if value else 'OFF'}")


def load(conanfile, name):
    with open(name) as file:
        return file.read()


def copy(conanfile, pattern, src, dst):
    found = 0
    for place, _, names in os.walk(src):
        for name in names:
            relative = os.path.relpath(os.path.join(place, name), src)
            if fnmatch.fnmatch(relative, pattern):
                target = os.path.join(dst, relative)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(os.path.join(place, name), target)
                found += 1
    if found == 0:
        sys.exit(f"nothing is {pattern}")


def nothing(*arguments):
    pass


def stand_in(name, **content):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(content)


stand_in("conan", ConanFile=ConanFile)
stand_in("conan.tools")
stand_in("conan.tools.cmake", CMake=nothing, CMakeToolchain=CMakeToolchain, cmake_layout=nothing)
stand_in("conan.tools.files", copy=copy, load=load, rmdir=nothing)

recipe = {}
exec(compile(load(None, path), path, "exec"), recipe)
xvm = recipe["XvmConan"]()
xvm.settings = Settings()
xvm.options = types.SimpleNamespace(shared=False, fPIC=True)
xvm.set_version()
if xvm.version != version:
    sys.exit(f"version {xvm.version}, not {version}")
xvm.config_options()
xvm.configure()
xvm.layout()
xvm.export_sources()
xvm.generate()
