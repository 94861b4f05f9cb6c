"""Postcard (section 1.1), both ways: a schema reads and writes values.

Structures and variants become `SimpleNamespace`; a variant's name is in `kind`.
"""

from types import SimpleNamespace

from reject import Reject, key_rule


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        key_rule(count <= len(self.data) - self.at, "the key ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self, width):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            key_rule(shift < width, "a number of the key is too long")
        key_rule(value < 1 << width, "a number of the key is too large")
        return value


def _write_varint(value, out):
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


class Byte:
    """u8."""

    def read(self, reader):
        return reader.take(1)[0]

    def write(self, value, out):
        out.append(value)


class Bool:
    def read(self, reader):
        value = reader.take(1)[0]
        key_rule(value < 2, "a flag of the key is neither 0 nor 1")
        return value == 1

    def write(self, value, out):
        out.append(int(value))


class Unsigned:
    """u16, u32, u64."""

    def __init__(self, width):
        self.width = width

    def read(self, reader):
        return reader.varint(self.width)

    def write(self, value, out):
        _write_varint(value, out)


class Signed:
    """i16, i32, i64: zigzag."""

    def __init__(self, width):
        self.width = width

    def read(self, reader):
        value = reader.varint(self.width)
        return value >> 1 ^ -(value & 1)

    def write(self, value, out):
        _write_varint(value * 2 if value >= 0 else -2 * value - 1, out)


class Array:
    """[u8; n]."""

    def __init__(self, length):
        self.length = length

    def read(self, reader):
        return bytes(reader.take(self.length))

    def write(self, value, out):
        out += value


class Text:
    def read(self, reader):
        try:
            return reader.take(reader.varint(64)).decode("utf-8")
        except UnicodeDecodeError:
            raise Reject("key", "a name in the key is not UTF-8") from None

    def write(self, value, out):
        data = value.encode("utf-8")
        _write_varint(len(data), out)
        out += data


class List:
    def __init__(self, item):
        self.item = item

    def read(self, reader):
        count = reader.varint(64)
        # Every item of every list takes a byte at least.
        key_rule(count <= len(reader.data) - reader.at, "the key ends early")
        return [self.item.read(reader) for _ in range(count)]

    def write(self, value, out):
        _write_varint(len(value), out)
        for item in value:
            self.item.write(item, out)


class Fixed:
    """A tuple or an array without a count."""

    def __init__(self, *items):
        self.items = items

    def read(self, reader):
        return tuple(item.read(reader) for item in self.items)

    def write(self, value, out):
        for item, v in zip(self.items, value):
            item.write(v, out)


class Option:
    def __init__(self, item):
        self.item = item

    def read(self, reader):
        return self.item.read(reader) if Bool().read(reader) else None

    def write(self, value, out):
        out.append(int(value is not None))
        if value is not None:
            self.item.write(value, out)


class Struct:
    def __init__(self, **fields):
        self.fields = fields

    def read(self, reader):
        return SimpleNamespace(**{name: field.read(reader) for name, field in self.fields.items()})

    def write(self, value, out):
        for name, field in self.fields.items():
            field.write(getattr(value, name), out)


class Enum:
    """Variants in listing order, each a `Struct`."""

    def __init__(self, **variants):
        self.names = list(variants)
        self.variants = [v or Struct() for v in variants.values()]

    def read(self, reader):
        number = reader.varint(32)
        key_rule(number < len(self.names), "an unknown variant in the key")
        value = self.variants[number].read(reader)
        value.kind = self.names[number]
        return value

    def write(self, value, out):
        number = self.names.index(value.kind)
        _write_varint(number, out)
        self.variants[number].write(value, out)
