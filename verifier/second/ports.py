"""Public tensors: their types, their bytes and the cells they become (section 1.2)."""

import struct

from field import P
from multilinear import elements
from reject import require

# Of each type: letter of `struct`, smallest and largest raw value.
_TYPES = {
    "U8": ("B", 0, 255),
    "I8": ("b", -128, 127),
    "U16": ("H", 0, 65535),
    "I16": ("h", -32768, 32767),
    "I32": ("i", -2**31, 2**31 - 1),
    "Bool": ("B", 0, 1),
    "F32": ("I", 0, 2**32 - 1),
}


def raw_type(int_type):
    if int_type.kind == "Range":
        return ("i", int_type.min, int_type.max)
    return _TYPES[int_type.kind]


def byte_length(port):
    return elements(port.shape) * struct.calcsize("<" + raw_type(port.quantisation.int_type)[0])


def raw_elements(port, data):
    """The elements of a tensor, row-major; rejects those outside the type."""
    letter, least, most = raw_type(port.quantisation.int_type)
    raw = struct.unpack(f"<{elements(port.shape)}{letter}", data)
    require(all(least <= v <= most for v in raw), f"tensor {port.name!r} has a value outside its type")
    return raw


def centred(port, data):
    """The cells of a tensor's columns in the tensor's order: one list, three of a float."""
    raw = raw_elements(port, data)
    if port.quantisation.int_type.kind != "F32":
        return [[v - port.quantisation.zero_point for v in raw]]
    parts = [_float_parts(bits, port.name) for bits in raw]
    return [[part[i] for part in parts] for i in range(3)]


def _float_parts(bits, name):
    """(M, e, s) of section 2.2."""
    if bits == 0:
        return (0, 0, 0)
    exponent = bits >> 23 & 255
    require(1 <= exponent <= 253, f"tensor {name!r} has a number that is not normal")
    sign = -1 if bits >> 31 else 1
    return (sign * (2**23 + (bits & 2**23 - 1)), exponent + 10, sign)


def column_cells(port, dims, cells):
    """Cells of the column, row-major over its axes, from those in the tensor's order."""
    strides = [0] * len(dims)
    step = 1
    for axis in reversed(port.order):
        strides[axis] = step
        step *= dims[axis]
    positions = [0]
    for axis, size in enumerate(dims):
        positions = [p + i * strides[axis] for p in positions for i in range(size)]
    return [cells[p] % P for p in positions]


def public_columns(system, inputs, outputs):
    """Column number to cells, for every public column."""
    result = {}
    for port, data in list(zip(system.inputs, inputs)) + list(zip(system.outputs, outputs)):
        numbers = [port.column, *(port.float_parts or ())]
        for number, cells in zip(numbers, centred(port, data)):
            cells = column_cells(port, system.columns[number].dims, cells)
            require(result.setdefault(number, cells) == cells, f"tensor {port.name!r} differs from one it shares cells with")
    return result
