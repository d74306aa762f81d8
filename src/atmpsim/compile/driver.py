"""The batch driver as machine code that is kept on disk: a process that finds it need not load the compiler.

Numba takes long for the driver. Its result, optimised for no processor in particular, therefore comes with the
package for the most usual platform: `python -m atmpsim.compile.driver` writes it after a change of the kernels.
"""

from __future__ import annotations

import ctypes
import functools
import lzma
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm

from atmpsim import cache, kernels
from atmpsim.compile.llvm import compile_object, load_object, optimise

_KIND = "objects"
_NAME = "advance_trajectories"
_FOLDER = Path(kernels.__file__).parent
_SOURCES = ("arguments", "call", "crossings", "entry", "rosenbrock", "sampling")
_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


@functools.cache
def load_driver() -> Callable[[int], None]:
    """Return `kernels.entry.enter` as a C function of the address of its arguments; it lets go of the GIL."""
    name = _fingerprint()
    code = cache.load(_KIND, name)
    if code is None:
        code = compile_object(_shipped() or _text())
        cache.store(_KIND, name, code)
    engine = load_object(code)
    function = _SIGNATURE(engine.get_function_address(_NAME))
    # the method's own way to return: a value, of which there is none, and an exception, which cannot be
    nothing = (ctypes.c_void_p * 8)()

    def call(address: int, *, _keep: object = engine) -> None:
        function(ctypes.addressof(nothing), ctypes.addressof(nothing), address)

    return call


def _fingerprint() -> str:
    cpu = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    return cache.key(cpu, version("llvmlite"), version("numba"), Path(__file__).read_text(encoding="utf-8"), _stamp())


def _stamp() -> str:
    """Return what tells whether a text is of these kernels and for this platform."""
    sources = [(_FOLDER / f"{n}.py").read_text(encoding="utf-8") for n in _SOURCES]
    return cache.key(llvm.get_process_triple(), *sources)


def _place() -> Path:
    return _FOLDER / f"driver-{llvm.get_process_triple()}.ll.xz"


def _shipped() -> str | None:
    """Return the text that came with the package, if it is of these kernels and this LLVM reads it."""
    try:
        stamp, text = lzma.decompress(_place().read_bytes()).decode().split("\n", 1)
        llvm.parse_assembly(text)
    except (OSError, lzma.LZMAError, ValueError, RuntimeError):
        return None
    return text if stamp == f"; {_stamp()}" else None


def _text() -> str:
    """Return Numba's code of the entry, optimised, without what converts Python objects, which nothing here needs."""
    from atmpsim.kernels.entry import enter

    enter.compile("void(int64)")
    module = llvm.parse_assembly(enter.inspect_llvm(enter.signatures[0]))
    names = [f.name for f in module.functions if not f.is_declaration and "entry5enter" in f.name]
    (native,) = [n for n in names if n.startswith("_ZN") and "cpython" not in n]
    for function in module.functions:
        if not function.is_declaration and function.name != native:
            function.linkage = "internal"
    # in line, the counting of references to arrays is seen to be of none
    return optimise(str(module).replace(native, _NAME).replace(" noinline", " nounwind"))


if __name__ == "__main__":
    os.environ["NUMBA_OPT"] = "0"  # else the text is for this processor
    _place().write_bytes(lzma.compress(f"; {_stamp()}\n{_text()}".encode(), preset=9))
