"""The constraint system and the key file that holds it (sections 1.2 and 1.6)."""

from blake3 import blake3
from postcard import Array, Bool, Byte, Enum, Fixed, List, Option, Reader, Signed, Struct, Text, Unsigned
from reject import key_rule

MAGIC = b"VINFERV2"
BATCH_MAGIC = b"VINFERB2"
MAX_BATCH = 1 << 16

U16, U32, U64, I32 = Unsigned(16), Unsigned(32), Unsigned(64), Signed(32)

INDEX_LIST = Enum(Identity=Struct(length=U32), List=Struct(items=List(U32)))
AXIS_MAP = Enum(
    Same=Struct(axis=Byte()),
    Gather=Struct(axis=Byte(), span=Byte(), list=INDEX_LIST),
    Strided=Struct(axis=Byte(), stride=U32, offset=I32),
    Selected=Struct(axis=Byte(), input=U32),
    Sum=None,
)
COLUMN = Struct(home=Enum(Witness=None, Constants=None, Public=None), dims=List(U32))
SOURCE = Enum(
    Column=Struct(column=U32, maps=List(AXIS_MAP)),
    Contraction=Struct(contraction=U32, rows=INDEX_LIST),
    Product=Struct(product=U32),
    OutsideWindow=Struct(axis=Byte(), stride=U32, offset=I32, size=U32),
)
EXPR = Struct(terms=List(Fixed(U64, U16)), constant=U64, index_coefficient=U64)
INSTANCE = Struct(
    dims=List(U32),
    sources=List(SOURCE),
    lookups=List(Struct(table=U32, tuple=List(EXPR))),
)
TABLE = Struct(
    rows=Enum(
        Range=Struct(bits=Byte()),
        Clamp=Struct(bits=Byte(), fraction_bits=Byte(), lo=I32, hi=I32),
        ParityClamp=Struct(bits=Byte(), lo=I32, hi=I32),
        Columns=Struct(columns=List(U32)),
    ),
    multiplicity=U32,
)
CONTRACTION = Struct(
    weights=U32,
    weight_axes=List(List(Byte())),
    input=U32,
    summed=List(U32),
    rows_per_group=U32,
    positions=List(U32),
    maps=List(Enum(
        Summed=Struct(axis=Byte()),
        Position=Struct(axis=Byte()),
        Window=Struct(axis=Byte(), tap_axis=Byte(), stride=U32, dilation=U32, offset=I32),
        Grouped=Struct(axis=Byte(), size=U32),
    )),
)
FACTOR = Struct(column=U32, maps=List(AXIS_MAP))
PRODUCT = Struct(dims=List(U32), summed=List(U32), a=FACTOR, b=FACTOR)
INT_TYPE = Enum(U8=None, I8=None, U16=None, I16=None, I32=None, Bool=None,
                Range=Struct(min=I32, max=I32), F32=None)
PORT = Struct(
    name=Text(),
    port_type=Enum(Float32=None, Integer=None, Int64=None),
    leading_batch=Bool(),
    shape=List(U32),
    quantisation=Struct(scale_bits=U32, zero_point=I32, int_type=INT_TYPE),
    column=U32,
    float_parts=Option(Fixed(U32, U32)),
    order=List(Byte()),
)
SYSTEM = Struct(
    columns=List(COLUMN),
    instances=List(INSTANCE),
    tables=List(TABLE),
    contractions=List(CONTRACTION),
    products=List(PRODUCT),
    inputs=List(PORT),
    outputs=List(PORT),
)
KEY = Struct(
    profile=Enum(Direct100=None),
    program_digest=Array(32),
    constants_root=Array(32),
    system=SYSTEM,
)

BATCH_KEY = Struct(batch=U32, **KEY.fields)


def indices(index_list):
    """The entries of an `IndexList`."""
    if index_list.kind == "Identity":
        return range(index_list.length)
    return index_list.items


def read_key(data):
    """The key in a key file, with its digest in `digest`."""
    key_rule(data[:8] in (MAGIC, BATCH_MAGIC), "this is no key of version 2")
    schema = KEY if data[:8] == MAGIC else BATCH_KEY
    body = data[40:]
    key_rule(len(data) >= 40 and data[8:40] == blake3(body), "the key's checksum is wrong")
    reader = Reader(body)
    key = schema.read(reader)
    key_rule(reader.at == len(body), "bytes after the key")
    again = bytearray()
    schema.write(key, again)
    key_rule(again == body, "the key's encoding is not canonical")
    if schema is KEY:
        key.batch = 1
    else:
        key_rule(2 <= key.batch <= MAX_BATCH, "a batch of a wrong size")
        ports = key.system.inputs + key.system.outputs
        key_rule(all(p.shape[:1] == [key.batch] for p in ports), "a port without the axis of the batch")
    key.digest = blake3(data)
    return key
