"""Builds the compiled module and the op library with CMake and ninja.

AMT_BUILD=require fails without a compiler, off builds nothing, auto (default) tries and falls back to the reference.
AMT_CUDA=on builds the CUDA kernels or fails, auto builds them where nvcc is, off (default) leaves them out: they have
not run on a GPU yet. AMT_CUDA_ARCHS: what for, as CMake's CUDA_ARCHITECTURES.
"""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

MODE = os.environ.get("AMT_BUILD", "auto")
if MODE not in ("auto", "require", "off"):
    sys.exit(f"AMT_BUILD must be auto, require or off, got {MODE!r}")
CUDA = os.environ.get("AMT_CUDA", "off")
CUDA_ARCHS = os.environ.get("AMT_CUDA_ARCHS", "")
if CUDA not in ("auto", "on", "off"):
    sys.exit(f"AMT_CUDA must be auto, on or off, got {CUDA!r}")


class CMakeBuild(build_ext):
    """Runs CMake once and installs every target beside the package."""

    def run(self) -> None:
        """Build all targets; in mode auto a failure leaves a package that works through the reference."""
        import pybind11

        source = Path(__file__).parent.resolve()
        build = Path(self.build_temp).resolve()
        package = Path(self.get_ext_fullpath("amt._midi")).resolve().parent
        build.mkdir(parents=True, exist_ok=True)
        configure = [
            "cmake",
            "-S",
            str(source),
            "-B",
            str(build),
            "-GNinja",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DAMT_CUDA={CUDA}",
            *([f"-DAMT_CUDA_ARCHS={CUDA_ARCHS}"] if CUDA_ARCHS else []),
        ]
        try:
            subprocess.run(configure, check=True)
            subprocess.run(["cmake", "--build", str(build)], check=True)
            # Beside the sources, too: Python started in a clone imports the package from there.
            for prefix in {package, source / "amt"}:
                subprocess.run(["cmake", "--install", str(build), "--prefix", str(prefix)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            if MODE == "require" or CUDA == "on":
                raise SystemExit(f"the C++ part did not build, and must: {error}") from error
            self.warn(f"the C++ part did not build ({error}); AMT will run through its slower Python reference")
            self.extensions = []


setup(
    ext_modules=[] if MODE == "off" else [Extension("amt._midi", sources=[], optional=MODE == "auto")],
    cmdclass={"build_ext": CMakeBuild},
)
