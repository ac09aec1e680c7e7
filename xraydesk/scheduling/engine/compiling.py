"""Compiling the inner loop when the program is installed, and using what was compiled.

    python -m xraydesk.scheduling.engine.compiling

It takes most of a minute, once, and nobody is to wait for that who wants a plan now. What comes out is machine code in one file
beside the source: for one version of that, and for one kind of processor. Numba is needed to make it, not to use it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from types import FunctionType
from typing import Any, Protocol

from xraydesk.scheduling.engine import inner, problem, state

NAME = "xraydesk_inner"
FRONT_END, BACK_END = "numba", "llvmlite"
"""Neither has wheels for every machine; there the inner loop stays as it is written, and `together` does the work."""


class Loop(Protocol):
    """The inner loop on one board."""

    def run(self, tries: int, heat: float) -> None:
        """As `inner.run`."""

    def move_to(self) -> None:
        """As `inner.move_to`."""


class Uncompiled:
    """The inner loop as it is written, a hundred times slower."""

    def __init__(self, board: inner.Board) -> None:
        self.board = board

    def run(self, tries: int, heat: float) -> None:
        """As `inner.run`."""
        inner.run(self.board, tries, heat)

    def move_to(self) -> None:
        """As `inner.move_to`."""
        inner.move_to(self.board)


class Compiled:
    """The inner loop as machine code. Other threads go on meanwhile."""

    def __init__(self, board: inner.Board, function: Any) -> None:
        self.board, self.function = board, function
        # Numba's own order for a record of arrays: two owners it has none of here, then what each array is.
        self.told: list[ctypes.c_void_p | ctypes.c_int64] = []
        for field in board:
            if isinstance(field, int):
                self.told.append(ctypes.c_int64(field))
                continue
            assert field.flags.c_contiguous
            self.told += [ctypes.c_void_p(), ctypes.c_void_p()]
            self.told += [ctypes.c_int64(field.size), ctypes.c_int64(field.itemsize)]
            self.told.append(ctypes.c_void_p(field.ctypes.data))
            self.told += [ctypes.c_int64(n) for n in (*field.shape, *field.strides)]

    def run(self, tries: int, heat: float) -> None:
        """As `inner.run`."""
        self._call(tries, heat)

    def move_to(self) -> None:
        """As `inner.move_to`."""
        self._call(0, 0.0)

    def _call(self, tries: int, heat: float) -> None:
        answer, trouble = ctypes.c_void_p(), ctypes.c_void_p()
        status = self.function(
            ctypes.byref(answer),
            ctypes.byref(trouble),
            *self.told,
            ctypes.c_int64(tries),
            ctypes.c_double(heat),
        )
        assert status == 0, "nothing in the inner loop raises"


def inner_loop(board: inner.Board) -> Loop:
    """The inner loop on a board, compiled where it is; else as it is written."""
    function = _function()
    return Uncompiled(board) if function is None else Compiled(board, function)


def is_compiled() -> bool:
    """Whether the inner loop has been compiled, as it is now, for this processor."""
    return _function() is not None


@cache
def _function() -> Any:
    """The machine code, ready to be called; None where there is none."""
    if find_spec(BACK_END) is None:
        return None
    llvm = _llvm()
    try:
        digest, code = _parted(_file().read_bytes())
    except OSError:
        return None
    if digest != hashlib.sha256(code).digest():
        return None
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    # Of what kind its many arguments are, they say themselves.
    function: Any = ctypes.CFUNCTYPE(ctypes.c_int32)(engine.get_function_address(NAME))
    function.engine = engine
    return function


def _parted(told: bytes) -> tuple[bytes, bytes]:
    """What is kept: a digest, and the code. LLVM falls over what is not whole, and takes the process with it."""
    size = hashlib.sha256().digest_size
    return told[:size], told[size:]


@cache
def _llvm() -> Any:
    """The compiler's back end."""
    llvm: Any = import_module(f"{BACK_END}.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def _machine() -> Any:
    """This machine as the compiler sees it, for one use."""
    llvm = _llvm()
    target = llvm.Target.from_default_triple()
    processor, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=processor, features=features, opt=3, jit=True)


@cache
def _file() -> Path:
    """Where the machine code is, or would be."""
    llvm = _llvm()
    told = hashlib.sha256()
    for source in (__file__, inner.__file__, problem.__file__, state.__file__):
        told.update(Path(source).read_bytes())
    told.update(repr([llvm.llvm_version_info, llvm.get_host_cpu_name()]).encode())
    told.update(llvm.get_host_cpu_features().flatten().encode())
    return Path(__file__).parent / "__pycache__" / f"inner-{told.hexdigest()[:16]}.o"


def compile_now() -> None:
    """Compile the inner loop. Afterwards this process can use nothing of `inner` but the outcome."""
    numba: Any = import_module(FRONT_END)
    board = numba.typeof(_any_board())
    options: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy", "_nrt": False}
    for name, function in list(vars(inner).items()):
        if isinstance(function, FunctionType) and function.__module__ == inner.__name__:
            setattr(inner, name, numba.njit(**options)(function))
    run, move_to = inner.run, inner.move_to

    def entry(b: inner.Board, tries: int, heat: float) -> None:
        if tries > 0:
            run(b, tries, heat)
        else:
            move_to(b)

    signature = numba.void(board, numba.int64, numba.float64)
    made = numba.njit(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(entry)
    (compiled,) = made.overloads.values()
    (text,) = made.inspect_llvm().values()
    module = _llvm().parse_assembly(text.replace(compiled.fndesc.llvm_func_name, NAME))
    code = _machine().emit_object(module)
    file = _file()
    file.parent.mkdir(exist_ok=True)
    for old in file.parent.glob("inner-*.o"):
        old.unlink(missing_ok=True)
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_bytes(hashlib.sha256(code).digest() + code)
    beside.replace(file)


def _any_board() -> inner.Board:
    from xraydesk.scheduling.engine.board import Quick
    from xraydesk.scheduling.engine.dispatch import dispatch
    from xraydesk.scheduling.engine.grid import Grid

    exam, room = problem.Exam("E1", "P1", {"XR1": 10}), problem.Room("XR1", ((0, 60),))
    day = dispatch(problem.Problem(datetime(2000, 1, 1, tzinfo=UTC), (exam,), (room,)))
    return Quick(Grid(day), Random(0)).board


if __name__ == "__main__" and find_spec(FRONT_END) is not None and not is_compiled():
    compile_now()
