# SPDX-License-Identifier: MIT
"""Unpickles bytes, booleans, numbers, lists, tuples and NumPy arrays, and nothing else.

Two walls. Operations: only those named here exist; every other is refused before it acts.
Names: those that NumPy's and Python's own pickles of such values use lead to stand-ins below,
never to NumPy or Python; every other name is refused before anything is imported. The
stand-ins check dtype, shape and size before an array is made.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from arcface_fair.errors import UserError

# Values, tuples, lists, the memo, frames; REDUCE and BUILD reach the stand-ins only.
_OPERATIONS = """
    PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2
    LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES
    BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 EMPTY_TUPLE TUPLE
    TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS GET BINGET LONG_BINGET PUT BINPUT
    LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD
"""


class _Refused(Exception):
    """What the file holds that it may not hold, as part of a sentence."""


def load_plain(data: bytes, what: str) -> Any:
    """The value pickled in ``data``. Raises UserError naming ``what`` for anything but plain data.

    Strings of Python 2 come as bytes.
    """
    try:
        return _finished(_Unpickler(data).load())
    except _Refused as refusal:
        raise UserError(
            f"{what} holds {refusal}; a verification set holds bytes, booleans, lists, tuples and "
            "NumPy arrays only, so nothing of it was run: get the file from a source you trust"
        ) from None
    except Exception as error:
        # Bytes that are no pickle fail in as many ways as there are operations.
        raise UserError(
            f"{what} is no complete pickle ({type(error).__name__}: {error}); "
            "it is cut or damaged, copy it again"
        ) from error


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class _DType:
    """Stands in for numpy.dtype: plain booleans, integers and floats of at most 8 bytes."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = _text(code)
        if not isinstance(code, str) or code.lstrip("<>=|") not in (
            *("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"),
            "?",
        ):
            raise _Refused(f"an array of type {str(code)[:20]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """NumPy's state is (version, byte order, ...); only the order matters here."""
        order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise _Refused("an array type without byte order")
        if order in "<>":
            self.dtype = np.dtype(order + self.dtype.str[1:])


def _array(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(dtype, _DType):
        raise _Refused("an array without a type")
    sizes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(sizes, tuple) or len(sizes) > 8 or not all(type(n) is int for n in sizes):
        raise _Refused("an array without a shape")
    if not isinstance(data, bytes | bytearray) or min(sizes, default=0) < 0:
        raise _Refused("an array without data (or one of Python objects)")
    if len(data) != math.prod(sizes) * dtype.dtype.itemsize:
        raise _Refused(f"an array of shape {sizes} in {len(data)} bytes")
    return np.frombuffer(bytes(data), dtype.dtype).reshape(
        sizes, order="F" if order == "F" else "C"
    )


class _Array:
    """Stands in for numpy.ndarray between its creation and its state."""

    value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        """NumPy's state is (version, shape, dtype, Fortran order, data)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise _Refused("an array with an unknown state")
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return _array(data, dtype, (), "C")[()]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _array(data, dtype, shape, order)


def _latin1(text: Any, encoding: Any) -> bytes:
    """Python 3 writes bytes into old pickles as text encoded by this call."""
    if not isinstance(text, str) or _text(encoding) != "latin1":
        raise _Refused("an encoding other than latin1")
    return text.encode("latin-1")


def _bytes(data: Any = b"") -> bytes:
    if not isinstance(data, bytes | bytearray):
        raise _Refused("bytes made from something else")
    return bytes(data)


_CORES = ("numpy.core.", "numpy._core.")
_STAND_INS: dict[tuple[str, str], Callable] = {
    **{(f"{core}multiarray", "_reconstruct"): _reconstruct for core in _CORES},
    **{(f"{core}multiarray", "scalar"): _scalar for core in _CORES},
    **{(f"{core}numeric", "_frombuffer"): _from_buffer for core in _CORES},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _latin1,
    **{(house, "bytes"): _bytes for house in ("builtins", "__builtin__")},
    **{(house, "bytearray"): _bytes for house in ("builtins", "__builtin__")},
}


# The Python version, not the C one: that one grows its memo to any index a file names.
_PythonUnpickler: Any = pickle._Unpickler


class _Unpickler(_PythonUnpickler):
    dispatch = {  # noqa: RUF012
        code: _PythonUnpickler.dispatch[code]
        for code in (getattr(pickle, name)[0] for name in _OPERATIONS.split())
    }

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")
        self._encoded: dict[int, tuple[str, bytes]] = {}

    def find_class(self, module: str, name: str) -> Callable:
        if (module, name) not in _STAND_INS:
            raise _Refused(f"a call of {module[:60]}.{name[:60]}")
        return _STAND_INS[module, name]

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not any(function is stand_in for stand_in in _STAND_INS.values()):
            raise _Refused("a call of something that is no function")
        if function is _latin1:
            # Once per text: a small file could name a large one a million times.
            text = arguments[0]
            if id(text) not in self._encoded:
                self._encoded[id(text)] = text, _latin1(*arguments)
            self.stack[-1] = self._encoded[id(text)][1]
            return
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Array | _DType):
            raise _Refused("a state for something that has none")
        self.stack[-1].__setstate__(state)

    def load_bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        # read() stops at the end of the file, where a buffer of the named size would not.
        self.append(bytes(self.read(min(size, 1 << 40))))

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _finished(value: Any) -> Any:
    """``value`` with arrays in place of their stand-ins, two levels deep, as a .bin is."""

    def array(item: Any) -> Any:
        if isinstance(item, _Array) and item.value is None:
            raise _Refused("an array that was never filled")
        return item.value if isinstance(item, _Array) else item

    if not isinstance(value, list | tuple):
        return array(value)
    return [
        [array(item) for item in part] if isinstance(part, list | tuple) else array(part)
        for part in value
    ]
