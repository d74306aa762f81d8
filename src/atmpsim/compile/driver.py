"""The batch driver as machine code that is kept on disk: a process that finds it need not load the compiler."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm

from atmpsim import cache, kernels
from atmpsim.compile.llvm import compile_object, load_object

_KIND = "objects"
_NAME = "advance_trajectories"
_SOURCES = ("arguments", "call", "crossings", "entry", "rosenbrock")
_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


@functools.cache
def load_driver() -> Callable[[int], None]:
    """Return `kernels.entry.enter` as a C function of the address of its arguments; it lets go of the GIL."""
    name = cache.key(_fingerprint(), _NAME)
    code = cache.load(_KIND, name)
    if code is None:
        code = compile_object(_text_unoptimised(), level=3)
        cache.store(_KIND, name, code)
    engine = load_object(code)
    function = _SIGNATURE(engine.get_function_address(_NAME))
    # the method's own way to return: a value, of which there is none, and an exception, which cannot be
    nothing = (ctypes.c_void_p * 8)()

    def call(address: int, *, _keep: object = engine) -> None:
        function(ctypes.addressof(nothing), ctypes.addressof(nothing), address)

    return call


def _fingerprint() -> str:
    folder = Path(kernels.__file__).parent
    sources = [(folder / f"{n}.py").read_text(encoding="utf-8") for n in _SOURCES]
    cpu = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    return cache.key(cpu, version("llvmlite"), version("numba"), Path(__file__).read_text(encoding="utf-8"), *sources)


def begin_making() -> None:
    """Where the driver is not kept yet, begin to make it in a process beside this one, for who needs it later."""
    if cache.load(_KIND, cache.key(_fingerprint(), _NAME)) is None:
        _process()


@functools.cache
def _process() -> subprocess.Popen[str]:
    """Return a process that writes what `_text` does, with Numba optimising nothing: it would all be done twice."""
    write = "import sys; from atmpsim.compile.driver import _text; sys.stdout.write(_text())"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", write], env={**os.environ, "NUMBA_OPT": "0"}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _text_unoptimised() -> str:
    process = _process()
    text, _ = process.communicate()
    _process.cache_clear()
    return text if process.returncode == 0 else _text()


def _text() -> str:
    """Return Numba's code of the entry without what converts Python objects, which nothing here needs."""
    from atmpsim.kernels.entry import enter

    enter.compile("void(int64)")
    module = llvm.parse_assembly(enter.inspect_llvm(enter.signatures[0]))
    names = [f.name for f in module.functions if not f.is_declaration and "entry5enter" in f.name]
    (native,) = [n for n in names if n.startswith("_ZN") and "cpython" not in n]
    for function in module.functions:
        if not function.is_declaration and function.name != native:
            function.linkage = "internal"
    return str(module).replace(native, _NAME)
