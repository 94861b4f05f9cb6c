"""Small graphs around single operators, run by ONNX Runtime. Usage: gen.py DIR [SEED] [ROUNDS]"""
import os, sys, numpy as np, onnx, onnxruntime as ort
from onnx import helper as h, numpy_helper as nh, TensorProto as T
f32 = np.float32
N = h.make_node
out = sys.argv[1]
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 1
only = sys.argv[4] if len(sys.argv) > 4 else None
r = np.random.default_rng(seed)
DT = {'u8': (np.uint8, T.UINT8), 's8': (np.int8, T.INT8), 'u16': (np.uint16, T.UINT16), 's16': (np.int16, T.INT16)}

class G:

    def __init__(s, opset):
        s.opset = opset
        s.n = []
        s.i = []
        s.ports = []
        s.outs = []
        s.data = {}
        s.k = 0
        s.samples = 3

    def name(s):
        s.k += 1
        return f't{s.k}'

    def c(s, v):
        n = s.name()
        s.i.append(nh.from_array(np.asarray(v), n))
        return n

    def ints(s, v):
        return s.c(np.array(v, np.int64))

    def op(s, t, ins, nout=1, **a):
        o = [s.name() for _ in range(nout)]
        s.n.append(N(t, ins, o, **a))
        return o[0] if nout == 1 else o

    def par(s, dt, scale=None, z=None):
        d = DT[dt][0]
        ii = np.iinfo(d)
        w = ii.max - ii.min
        return (f32(r.uniform(0.005, 0.05) * 255 / w if scale is None else scale), d(r.integers(ii.min, ii.max) if z is None else z))

    def q(s, x, p):
        return s.op('QuantizeLinear', [x, s.c(p[0]), s.c(p[1])])

    def dq(s, x, p):
        return s.op('DequantizeLinear', [x, s.c(p[0]), s.c(p[1])])

    def act(s, shape, dt='u8', scale=None, port=None, z=None, p=None):
        p = p or s.par(dt, scale, z)
        d = DT[dt][0]
        ii = np.iinfo(d)
        port = port or r.choice(['f', 'i'])
        raw = r.integers(ii.min, ii.max + 1, (s.samples, *shape)).astype(d)
        n = f'x{len(s.ports)}'
        if port == 'f':
            s.ports.append(h.make_tensor_value_info(n, T.FLOAT, shape))
            s.data[n] = ((raw.astype(f32) - f32(p[1])) * p[0] + f32(0.3) * p[0] * r.uniform(-1, 1, raw.shape).astype(f32)).astype(f32)
            x = s.q(n, p)
        else:
            s.ports.append(h.make_tensor_value_info(n, DT[dt][1], shape))
            s.data[n] = raw
            x = n
        return (s.dq(x, p), p)

    def raw(s, shape, d, lo=None, hi=None, tt=None):
        d = np.dtype(d)
        n = f'x{len(s.ports)}'
        if d == np.bool_:
            v = r.integers(0, 2, (s.samples, *shape)).astype(bool)
        elif d == np.float32:
            v = r.normal(size=(s.samples, *shape)).astype(f32)
        else:
            ii = np.iinfo(d)
            v = r.integers(ii.min if lo is None else lo, (ii.max if hi is None else hi) + 1, (s.samples, *shape)).astype(d)
        s.ports.append(h.make_tensor_value_info(n, h.np_dtype_to_tensor_dtype(d), shape))
        s.data[n] = v
        return n

    def out(s, y, tt=T.FLOAT):
        s.outs.append((y, tt))
        return s

    def end(s, y, p=None, dt='u8', mode=None):
        mode = mode or r.choice(['qdq', 'qdq', 'q'])
        if p is None:
            p = s.par(dt)
        y = s.q(y, p)
        if mode == 'q':
            return s.out(y, DT[dt][1])
        return s.out(s.dq(y, p))

    def build(s, path):
        g = h.make_graph(s.n, 'g', s.ports, [h.make_tensor_value_info(y, t, None) for y, t in s.outs], s.i)
        m = h.make_model(g, opset_imports=[h.make_opsetid('', s.opset), h.make_opsetid('com.microsoft', 1)], ir_version=8 if s.opset < 21 else 10 if s.opset < 23 else 12)
        m = onnx.shape_inference.infer_shapes(m)
        so = ort.SessionOptions()
        so.log_severity_level = 4
        so.intra_op_num_threads = 1
        try:
            se = ort.InferenceSession(m.SerializeToString(), so, providers=['CPUExecutionProvider'])
        except Exception as e:
            return 'load ' + str(e)[:160]
        res = []
        for k in range(s.samples):
            try:
                res.append(se.run(None, {n: v[k] for n, v in s.data.items()}))
            except Exception as e:
                return 'run ' + str(e)[:160]
        os.makedirs(path, exist_ok=True)
        open(path + '/model.onnx', 'wb').write(m.SerializeToString())
        np.savez(path + '/inputs.npz', **s.data)
        np.savez(path + '/ort_outputs.npz', **{y: np.stack([q[i] for q in res]) for i, (y, _) in enumerate(s.outs)})
CASES = {}

def case(f):
    CASES[f.__name__] = f
    return f
R = lambda a, b: int(r.integers(a, b + 1))

def shape(lo=2, hi=4, m=5):
    return [R(1, m) for _ in range(R(lo, hi))]

def dt8():
    return str(r.choice(['u8', 'u8', 's8']))

def OPS():
    return R(13, 22) if r.random() < 0.8 else 21

@case
def matmul(g):
    k = R(1, 12)
    a = [R(1, 3), R(1, 3), R(1, 6), k]
    b = [a[0] if r.random() < 0.5 else 1, a[1], k, R(1, 6)]
    if r.random() < 0.3:
        b = b[2:]
    if r.random() < 0.2:
        a = a[2:]
    x, _ = g.act(a)
    y, _ = g.act(b)
    g.end(g.op('MatMul', [x, y]), g.par('u8', R(5, 50) / 100))

@case
def matmul_const3d(g):
    k = R(1, 12)
    x, _ = g.act([2, R(1, 5), k])
    w = r.integers(0, 255, (2, k, R(1, 5))).astype(np.uint8)
    W = g.dq(g.c(w), (f32(0.01), np.uint8(R(0, 255))))
    if r.random() < 0.3:
        x, _ = g.act([2, k, R(1, 5)])
        W = g.dq(g.c(r.integers(0, 255, (2, R(2, 5), k)).astype(np.uint8)), (f32(0.01), np.uint8(9)))
        x, W = (W, x)
    g.end(g.op('MatMul', [x, W]), g.par('u8', 0.1))

@case
def matmul_float_out(g):
    x, p = g.act([R(1, 5), 8], port='i')
    wd = str(r.choice(['u8', 's8']))
    w = r.integers(-100, 100, (8, 6)).astype(np.int8) if wd == 's8' else r.integers(0, 255, (8, 6)).astype(np.uint8)
    g.out(g.op('MatMul', [x, g.dq(g.c(w), (f32(0.013), DT[wd][0](R(0, 100))))]))

@case
def mul(g):
    d = dt8()
    s = shape()
    t = [v if r.random() < 0.6 else 1 for v in s][R(0, 1):]
    x, _ = g.act(s, d)
    y, _ = g.act(t, d)
    if r.random() < 0.3:
        x, y = (y, x)
    g.end(g.op('Mul', [x, y]), g.par(d if r.random() < 0.8 else 'u8'), dt=d if True else d) if False else g.end(g.op('Mul', [x, y]), g.par(d), dt=d)

@case
def mul_const(g):
    d = dt8()
    s = shape()
    t = [v if r.random() < 0.6 else 1 for v in s][R(0, 1):]
    x, _ = g.act(s, d)
    kind = r.choice(['u8', 's8', 'f'])
    if kind == 'f':
        c = g.c(r.normal(size=t).astype(f32))
    else:
        c = g.dq(g.c(r.integers(0, 100, t).astype(DT[kind][0])), g.par(kind))
    g.end(g.op('Mul', [x, c] if r.random() < 0.7 else [c, x]), g.par(d), dt=d)

def binop(o):

    def f(g):
        d = dt8()
        s = shape()
        t = [v if r.random() < 0.6 else 1 for v in s][R(0, 1):]
        x, _ = g.act(s, d)
        if r.random() < 0.4:
            y = g.c((r.normal(size=t) + 0.01).astype(f32))
        elif r.random() < 0.3:
            y = g.dq(g.c(r.integers(0, 100, t).astype(np.uint8)), g.par('u8'))
        else:
            y, _ = g.act([v if r.random() < 0.8 else 1 for v in t], d)
        if r.random() < 0.3:
            x, y = (y, x)
        z = g.op(o, [x, y])
        if r.random() < 0.2 and o != 'PRelu':
            z = g.op('Relu', [z])
        if r.random() < 0.1:
            g.out(z)
        else:
            g.end(z, g.par(d), dt=d)
    f.__name__ = o.lower()
    return f
for o in ['Add', 'Sub', 'Div', 'Min', 'Max']:
    case(binop(o))

@case
def prelu(g):
    x, _ = g.act([1, R(2, 5), 4, 4])
    C = 4
    s = g.c(r.normal(size=[1, 1, 1]).astype(f32)) if r.random() < 0.5 else g.dq(g.c(r.integers(0, 100, (4,)).astype(np.uint8)), g.par('u8'))
    g.end(g.op('PRelu', [x, s]))

@case
def pow_(g):
    x, _ = g.act(shape(), 'u8', z=0)
    g.end(g.op('Pow', [x, g.c(f32(r.choice([2, 3, 0.5, 1, 1.5])))]))

@case
def compare(g):
    o = str(r.choice(['Less', 'Greater', 'LessOrEqual', 'GreaterOrEqual', 'Equal']))
    s = shape()
    if r.random() < 0.4:
        a = g.raw(s, r.choice([np.uint8, np.int8]) if False else np.uint8)
        b = g.raw(s, np.uint8)
    else:
        x, p = g.act(s)
        a = x
        b = g.act(s)[0] if r.random() < 0.5 else g.c(f32(0.1))
    y = g.op(o, [a, b])
    if r.random() < 0.3:
        y = g.op('Not', [y])
    if r.random() < 0.3:
        z = g.raw(s, np.bool_)
        y = g.op(str(r.choice(['And', 'Or', 'Xor'])), [y, z])
    g.out(y, T.BOOL)

@case
def where(g):
    d = dt8()
    s = shape()
    c = g.raw(s, np.bool_) if r.random() < 0.6 else g.c(r.integers(0, 2, s).astype(bool))
    x, p = g.act(s, d)
    y = g.act(s, d)[0] if r.random() < 0.5 else g.c(f32(-1.3))
    if r.random() < 0.3:
        x, y = (y, x)
    g.end(g.op('Where', [c, x, y]), g.par(d), dt=d)

@case
def softmax(g):
    d = dt8()
    s = shape(1, 4, 9)
    x, _ = g.act(s, d, scale=r.uniform(0.005, 0.2))
    op = g.op('Softmax', [x], axis=R(-len(s), len(s) - 1))
    k = r.random()
    if k < 0.7:
        g.end(op, g.par(d, 1 / 256 if r.random() < 0.5 else f32(1 / 255), 0 if d == 'u8' else -128), dt=d)
    elif k < 0.85:
        g.out(op)
    else:
        g.end(op, g.par('u8' if d == 's8' else 's8', 1 / 256, 0), dt='u8' if d == 's8' else 's8')

@case
def layernorm(g):
    D = int(r.choice([2, 3, 5, 6, 7, 8, 12, 16, 20, 24, 64, 100]))
    pre = shape(1, 3)
    s = pre + [D]
    x, _ = g.act(s, dt8() if False else 'u8')
    ax = -1
    if r.random() < 0.3:
        s = pre + [4, D]
        g.ports.clear()
        g.data.clear()
        g.n.clear()
        x, _ = g.act(s)
        ax = -2
        D *= 4
    sh = s[ax:]
    gm = r.normal(1, 0.5, sh).astype(f32)
    gm.ravel()[0] = -0.7
    if r.random() < 0.3:
        gm.ravel()[-1] = 0
    gn = g.c(gm) if r.random() < 0.5 else g.dq(g.c(r.integers(-127, 127, sh).astype(np.int8)), (f32(0.01), np.int8(0)))
    ins = [x, gn]
    if r.random() < 0.7:
        ins.append(g.c(r.normal(size=sh).astype(f32)))
    g.opset = max(17, g.opset)
    g.end(g.op('LayerNormalization', ins, axis=ax, epsilon=1e-05))

@case
def rms(g):
    D = int(r.choice([2, 3, 5, 8, 12, 16, 20, 64]))
    s = shape(1, 3) + [D]
    x, _ = g.act(s)
    g.n.append(N('SimplifiedLayerNormalization', [x, g.c(r.normal(1, 0.5, [D]).astype(f32))], ['ln'], axis=-1, epsilon=1e-05))
    g.end('ln')

@case
def reduce_float(g):
    s = shape(1, 4, 7)
    x, _ = g.act(s)
    ax = sorted(r.choice(len(s), R(1, len(s)), replace=False).tolist())
    o = str(r.choice(['ReduceMean', 'ReduceSum']))
    kd = R(0, 1)
    if o == 'ReduceSum' and g.opset >= 13 or g.opset >= 18:
        y = g.op(o, [x, g.ints(ax)], keepdims=kd)
    else:
        y = g.op(o, [x], axes=ax, keepdims=kd)
    g.out(y) if r.random() < 0.5 else g.end(y)

@case
def reduce_extremum(g):
    d = dt8()
    s = shape(1, 4, 5)
    x, p = g.act(s, d)
    ax = sorted(r.choice(len(s), R(1, len(s)), replace=False).tolist())
    o = str(r.choice(['ReduceMax', 'ReduceMin']))
    kd = R(0, 1)
    if r.random() < 0.2:
        x = g.op('Neg', [x])
    y = g.op(o, [x, g.ints(ax)], keepdims=kd) if g.opset >= 18 else g.op(o, [x], axes=ax, keepdims=kd)
    g.end(y, p if r.random() < 0.6 else g.par(d), dt=d)

@case
def arg(g):
    s = shape(1, 4, 6)
    x, p = g.act(s, dt8())
    y = g.op(str(r.choice(['ArgMax', 'ArgMin'])), [x], axis=R(-len(s), len(s) - 1), keepdims=R(0, 1), select_last_index=R(0, 1))
    g.out(y, T.INT64)

@case
def topk(g):
    s = shape(1, 3, 8)
    ax = R(0, len(s) - 1)
    k = R(1, s[ax])
    x, p = g.act(s)
    v, i = g.op('TopK', [x, g.ints([k])], 2, axis=ax, largest=R(0, 1))
    g.out(i, T.INT64)
    g.end(v, p)

@case
def concat(g):
    d = dt8()
    s = shape(1, 4)
    ax = R(-len(s), len(s) - 1)
    xs = []
    p0 = None
    for _ in range(R(2, 3)):
        t = list(s)
        t[ax] = R(1, 4)
        x, p = g.act(t, d, p=p0 if r.random() < 0.5 else None)
        p0 = p0 or p
        xs.append(x)
    if r.random() < 0.2:
        t = list(s)
        xs.append(g.dq(g.c(r.integers(0, 100, t).astype(DT[d][0])), g.par(d)))
    y = g.op('Concat', xs, axis=ax)
    g.end(y, p0 if r.random() < 0.5 else g.par(d), dt=d) if r.random() < 0.9 else g.out(y)

def tail(g, y, p, d='u8', ints=None):
    k = r.random()
    if k < 0.55:
        g.end(y, p, dt=d)
    elif k < 0.8:
        g.end(y, g.par(d), dt=d)
    else:
        g.out(y)

def src(g, s):
    d = dt8()
    x, p = g.act(s, d)
    return (x, p, d)

@case
def slice_(g):
    s = shape(1, 4, 7)
    x, p, d = src(g, s)
    n = R(1, len(s))
    ax = r.choice(len(s), n, replace=False).tolist()
    st = []
    en = []
    sp = []
    for a in ax:
        step = int(r.choice([1, 1, 2, -1, -2]))
        sp.append(step)
        if step > 0:
            b = R(0, s[a] - 1)
            st.append(b)
            en.append(int(r.choice([s[a], 9999, R(b + 1, s[a])])))
        else:
            b = R(0, s[a] - 1)
            st.append(int(r.choice([b, s[a] - 1, 9999])))
            en.append(int(r.choice([-9999, -s[a] - 1])))
    tail(g, g.op('Slice', [x, g.ints(st), g.ints(en), g.ints(ax), g.ints(sp)]), p, d)

@case
def slice_matmul(g):
    x, p = g.act([1, 6, 8])
    y = g.op('Slice', [x, g.ints([1]), g.ints([5]), g.ints([1])])
    w = g.dq(g.c(r.integers(-100, 100, (8, 4)).astype(np.int8)), (f32(0.01), np.int8(0)))
    g.end(g.op('MatMul', [y, w]))

@case
def gather(g):
    s = shape(1, 4, 6)
    x, p, d = src(g, s)
    ax = R(-len(s), len(s) - 1)
    idx = r.integers(-s[ax], s[ax], [R(1, 3) for _ in range(R(0, 2))])
    tail(g, g.op('Gather', [x, g.ints(idx)], axis=ax), p, d)

@case
def gather_elements(g):
    s = shape(1, 3, 5)
    x, p, d = src(g, s)
    ax = R(-len(s), len(s) - 1)
    t = [R(1, v) for v in s]
    t[ax] = R(1, 5)
    tail(g, g.op('GatherElements', [x, g.ints(r.integers(-s[ax], s[ax], t))], axis=ax), p, d)

@case
def gather_nd(g):
    s = shape(2, 3, 4)
    x, p, d = src(g, s)
    k = R(1, len(s))
    idx = np.stack([r.integers(0, s[i], [3]) for i in range(k)], -1)
    tail(g, g.op('GatherND', [x, g.ints(idx)]), p, d)

@case
def pad(g):
    s = shape(1, 4, 5)
    x, p, d = src(g, s)
    mode = str(r.choice(['constant', 'constant', 'edge', 'reflect']))
    hi = min(s) - 1 if mode == 'reflect' else 3
    pads = r.integers(0, max(hi, 0) + 1, 2 * len(s)).tolist()
    ins = [x, g.ints(pads)]
    if mode == 'constant' and r.random() < 0.5:
        ins.append(g.c(f32(r.normal())))
    tail(g, g.op('Pad', ins, mode=mode), p, d)

@case
def expand(g):
    s = shape(1, 3, 4)
    x, p, d = src(g, [v if r.random() < 0.5 else 1 for v in s])
    tail(g, g.op('Expand', [x, g.ints([2] * R(0, 1) + s)]), p, d)

@case
def tile(g):
    s = shape(1, 4, 4)
    x, p, d = src(g, s)
    tail(g, g.op('Tile', [x, g.ints([R(1, 3) for _ in s])]), p, d)

@case
def split(g):
    s = shape(1, 3, 6)
    ax = R(0, len(s) - 1)
    s[ax] = 6
    d = 'u8'
    x, p = g.act(s, d)
    k = R(2, 3)
    if r.random() < 0.5:
        o = g.op('Split', [x, g.ints([1, 5] if k == 2 else [1, 2, 3])], k, axis=ax)
    else:
        o = g.op('Split', [x], k, axis=ax, **{'num_outputs': k} if g.opset >= 18 else {})
    for y in o:
        g.end(y, p)

@case
def resize(g):
    s = [1, R(1, 3), R(2, 6), R(2, 6)]
    x, p, d = src(g, s)
    a = dict(mode='nearest', coordinate_transformation_mode=str(r.choice(['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'] + (['half_pixel_symmetric'] if g.opset >= 19 else []))), nearest_mode=str(r.choice(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'])))
    if r.random() < 0.5:
        ins = [x, '', g.c(np.array([1, 1, r.choice([0.5, 2, 1.5, 0.7, 3]), r.choice([1, 2, 0.6, 2.5])], f32))]
    else:
        ins = [x, '', '', g.ints([1, s[1], R(1, 9), R(1, 9)])]
    tail(g, g.op('Resize', ins, **a), p, d)

@case
def blocks(g):
    b = R(1, 3)
    c = R(1, 2)
    if r.random() < 0.5:
        x, p, d = src(g, [1, c * b * b, R(1, 4), R(1, 4)])
        y = g.op('DepthToSpace', [x], blocksize=b, mode=str(r.choice(['DCR', 'CRD'])))
    else:
        x, p, d = src(g, [1, c, b * R(1, 3), b * R(1, 3)])
        y = g.op('SpaceToDepth', [x], blocksize=b)
    tail(g, y, p, d)

@case
def movement_ints(g):
    s = shape(2, 3, 5)
    d = r.choice([np.uint8, np.int8, np.int32, np.bool_, np.uint16, np.int16])
    x = g.raw(s, d)
    k = R(0, 6)
    y = [lambda: g.op('Transpose', [x]), lambda: g.op('Reshape', [x, g.ints([-1])]), lambda: g.op('Slice', [x, g.ints([0]), g.ints([1]), g.ints([1])]), lambda: g.op('Concat', [x, x], axis=0), lambda: g.op('Gather', [x, g.ints([0, -1])], axis=1), lambda: g.op('Unsqueeze', [x, g.ints([0])]), lambda: g.op('Identity', [x])][k]()
    g.out(y, h.np_dtype_to_tensor_dtype(np.dtype(d)))

@case
def movement_float(g):
    s = shape(2, 3, 5)
    x = g.raw(s, np.float32)
    y = g.op('Transpose', [x])
    g.out(g.op('Slice', [y, g.ints([0]), g.ints([1]), g.ints([1])]))
    z, p = g.act([2])
    g.end(z, p)

def windowed(g, d, low, high):
    """A tensor of one to three axes of these lengths, and the attributes of a pooling window over them."""
    n = R(1, 3)
    sp = [R(low, high) for _ in range(n)]
    x, p = g.act([1, R(1, 3)] + sp, d)
    k = [R(1, 3) for _ in range(n)]
    a = dict(kernel_shape=k)
    if r.random() < 0.8:
        a['strides'] = [R(1, 3) for _ in range(n)]
    m = r.random()
    if m < 0.4:
        a['pads'] = [R(0, max(0, v - 1)) for v in k] * 2
    elif m < 0.6:
        a['auto_pad'] = str(r.choice(['SAME_UPPER', 'SAME_LOWER', 'VALID']))
    return x, p, a

@case
def avgpool(g):
    d = dt8()
    x, p, a = windowed(g, d, 3, 8)
    if r.random() < 0.3 and g.opset >= 10:
        a['ceil_mode'] = 1
    if r.random() < 0.4:
        a['count_include_pad'] = 1
    y = g.op('AveragePool', [x], **a)
    g.end(y, p if r.random() < 0.5 else g.par(d), dt=d) if r.random() < 0.85 else g.out(y)

@case
def gap(g):
    d = dt8()
    x, p = g.act([1, R(1, 4), R(1, 6), R(1, 6)], d)
    g.end(g.op('GlobalAveragePool', [x]), p if r.random() < 0.5 else g.par(d), dt=d)

@case
def maxpool(g):
    d = dt8()
    x, p, a = windowed(g, d, 4, 9)
    if r.random() < 0.3:
        a['ceil_mode'] = 1
    if r.random() < 0.3:
        a['dilations'] = [R(1, 2) for _ in a['kernel_shape']]
    if r.random() < 0.15:
        x = g.op('Neg', [x])
    tail(g, g.op('MaxPool' if r.random() < 0.9 else 'GlobalMaxPool', [x], **a) if r.random() < 0.9 else g.op('GlobalMaxPool', [x]), p, d)

@case
def conv(g):
    n = R(1, 2)
    sp = [R(4, 8) for _ in range(n)]
    gr = R(1, 2)
    x, p = g.act([1, 2 * gr] + sp, 'u8')
    k = [R(1, 3) for _ in range(n)]
    a = {}
    if r.random() < 0.6:
        a['strides'] = [R(1, 2) for _ in range(n)]
    m = r.random()
    if m < 0.4:
        a['pads'] = [R(0, 2) for _ in range(2 * n)]
    elif m < 0.7:
        a['auto_pad'] = str(r.choice(['SAME_UPPER', 'SAME_LOWER', 'VALID']))
    if r.random() < 0.3 and m < 0.4:
        a['dilations'] = [R(1, 2) for _ in range(n)]
    if gr > 1:
        a['group'] = gr
    w = g.dq(g.c(r.integers(-100, 100, [2 * gr, 2] + k).astype(np.int8)), (f32(0.01), np.int8(0)))
    g.end(g.op('Conv', [x, w], **a))

@case
def integer_products(g):
    if r.random() < 0.5:
        k = R(1, 9)
        d = np.uint8 if r.random() < 0.7 else np.int8
        x = g.raw([R(1, 3), R(1, 4), k], d)
        w = r.integers(0, 100, (k, R(1, 5))).astype(np.int8 if r.random() < 0.6 else np.uint8)
        ins = [x, g.c(w)]
        if r.random() < 0.7:
            ins += [g.c(d(R(0, 100))), g.c(w.dtype.type(R(0, 20)))]
        y = g.op('MatMulInteger', ins)
    else:
        x = g.raw([1, 2, 5, 5], np.uint8)
        w = r.integers(0, 255, (3, 2, 3, 3)).astype(np.uint8)
        ins = [x, g.c(w)]
        if r.random() < 0.7:
            ins += [g.c(np.uint8(R(0, 255))), g.c(np.uint8(R(0, 255)))]
        y = g.op('ConvInteger', ins, pads=[1, 1, 1, 1])
    if r.random() < 0.6:
        return g.out(y, T.INT32)
    y = g.op('Cast', [y], to=1)
    g.out(g.op('Mul', [y, g.c(f32(0.0123))]) if r.random() < 0.7 else y)

@case
def integer_arith(g):
    d = np.uint8 if r.random() < 0.5 else np.int8
    s = shape()
    o = str(r.choice(['Add', 'Sub', 'Mul', 'Max', 'Min']))
    g.opset = max(14, g.opset)
    x = g.raw(s, d)
    y = g.raw(s, d) if r.random() < 0.6 else g.c(d(R(0, 100)))
    g.out(g.op(o, [x, y]), h.np_dtype_to_tensor_dtype(np.dtype(d)))

@case
def unary(g):
    o = str(r.choice(['Sigmoid', 'Tanh', 'Erf', 'Exp', 'Abs', 'Neg', 'Relu', 'LeakyRelu', 'HardSwish', 'HardSigmoid', 'Softplus', 'Elu', 'Softsign', 'Floor', 'Ceil', 'Round', 'Sign', 'Selu', 'Celu', 'ThresholdedRelu', 'Mish', 'Gelu', 'Log', 'Sqrt', 'Reciprocal', 'Sin', 'Cos']))
    if o == 'Mish':
        g.opset = max(18, g.opset)
    if o == 'Gelu':
        g.opset = max(20, g.opset)
    if o == 'HardSwish':
        g.opset = max(14, g.opset)
    d = str(r.choice(['u8', 's8', 'u16'])) if r.random() < 0.3 else dt8()
    if d == 'u16':
        g.opset = 21
    x, p = g.act(shape(), d)
    y = g.op(o, [x])
    k = r.random()
    if k < 0.8:
        g.end(y, g.par(d), dt=d)
    else:
        g.out(y)

@case
def swish(g):
    x, p = g.act(shape(), 'u8')
    y = g.op('Mul', [x, g.op('Sigmoid', [x])])
    g.end(y)

@case
def embedding(g):
    d = 'u8'
    rows = R(2, 30)
    wd = R(1, 6)
    ids = g.raw([1, R(1, 5)], np.int64, 0, rows - 1)
    k = R(0, 2)
    p = g.par('u8')
    if k == 0:
        t = g.dq(g.c(r.integers(0, 255, (rows, wd)).astype(np.uint8)), p)
    else:
        t = g.c(r.normal(size=(rows, wd)).astype(f32))
    if r.random() < 0.3:
        ids = g.op('Unsqueeze', [ids, g.ints([0])])
    y = g.op('Gather', [t, ids], axis=0)
    g.end(y, p if r.random() < 0.5 else None)

@case
def axis_q(g):
    s = [2, 3, 4]
    ax = R(0, 2)
    n = s[ax]
    d = str(r.choice(['u8', 's8']))
    sc = r.uniform(0.01, 0.1, n).astype(f32)
    z = r.integers(0, 100, n).astype(DT[d][0])
    if r.random() < 0.5:
        x = g.raw(s, np.float32)
        g.out(g.op('QuantizeLinear', [x, g.c(sc), g.c(z)], axis=ax), DT[d][1])
    else:
        x = g.raw(s, DT[d][0])
        g.out(g.op('DequantizeLinear', [x, g.c(sc), g.c(z)], axis=ax))

@case
def blocked_q(g):
    g.opset = 21
    s = [2, 6, 4]
    b = R(1, 4)
    d = 'u8'
    t = [2, -(-6 // b), 4]
    sc = r.uniform(0.01, 0.1, t).astype(f32)
    z = r.integers(0, 100, t).astype(np.uint8)
    if r.random() < 0.5:
        x = g.raw(s, np.float32)
        g.out(g.op('QuantizeLinear', [x, g.c(sc), g.c(z)], axis=1, block_size=b), T.UINT8)
    else:
        x = g.raw(s, np.uint8)
        g.out(g.op('DequantizeLinear', [x, g.c(sc), g.c(z)], axis=1, block_size=b))

@case
def wide16(g):
    g.opset = 21
    d = str(r.choice(['u16', 's16']))
    k = R(0, 4)
    s = shape(2, 3)
    x, p = g.act(s, d)
    y = [lambda: g.op('Reshape', [x, g.ints([-1])]), lambda: g.op('Transpose', [x]), lambda: g.op('Relu', [x]), lambda: g.op('ReduceMax', [x]), lambda: g.op('Mul', [x, g.c(f32(0.7))])][k]()
    g.end(y, p if r.random() < 0.5 else g.par(d), dt=d)

@case
def batchnorm(g):
    C = R(1, 4)
    x, p = g.act([1, C, 3, 3])
    v = lambda lo, hi: g.c(r.uniform(lo, hi, C).astype(f32))
    g.end(g.op('BatchNormalization', [x, v(0.5, 2), v(-1, 1), v(-1, 1), v(0.1, 2)]))

@case
def constants(g):
    x, p = g.act([2, 3])
    k = R(0, 2)
    g.end(x, p)
    if k == 0:
        g.out(g.op('Shape', [x]), T.INT64)
    if k == 1:
        g.out(g.op('Size', [x]), T.INT64)
    if k == 2:
        g.out(g.op('ConstantOfShape', [g.ints([2, 3])], value=nh.from_array(np.array([1.5], f32))))

@case
def flatten_gemm(g):
    x, p = g.act([1, 2, 3])
    y = g.op('Flatten', [x])
    w = g.dq(g.c(r.integers(-100, 100, (6, 4)).astype(np.int8)), (f32(0.01), np.int8(0)))
    g.end(g.op('MatMul', [y, w]))

@case
def gemm_bias_rows(g):
    m, k, n = R(1, 4), R(1, 12), R(1, 4)
    x, p = g.act([m, k])
    per = r.random() < 0.5
    ws = (r.uniform(0.003, 0.02, n) if per else np.array(r.uniform(0.003, 0.02))).astype(f32)
    axis = {'axis': 1} if per else {}
    w = g.op('DequantizeLinear', [g.c(r.integers(-100, 100, (k, n)).astype(np.int8)), g.c(ws)], **axis)
    dims = [(m, n), (1, n), (n,), (1,), (m, 1), (1, 1)][R(0, 5)]
    raw = r.integers(-3000, 3000, dims).astype(np.int32)
    bs = (p[0] * ws).astype(f32)
    b = g.op('DequantizeLinear', [g.c(raw), g.c(bs)], **({'axis': len(dims) - 1} if per else {}))
    g.end(g.op('Gemm', [x, w, b]))

@case
def softmax_wide(g):
    x, p = g.act(shape(2, 3, 6), dt=dt8(), scale=f32(np.exp(r.uniform(np.log(0.2), np.log(100)))))
    y = g.op('Softmax', [x], axis=-1)
    g.end(y, (f32(r.choice([1 / 256, 1 / 255, 0.01])), np.uint8(0)) if r.random() < 0.8 else None)

@case
def where_integers(g):
    s = shape(1, 3, 4)
    d = [np.int64, np.uint8, np.int8][R(0, 2)]
    lo, hi = (-999, 999) if d == np.int64 else (None, None)
    x, y = g.raw(s, d, lo, hi), g.raw([a if r.random() < 0.7 else 1 for a in s], d, lo, hi)
    c = g.c(r.random([a if r.random() < 0.7 else 1 for a in s]) < 0.5)
    g.out(g.op('Where', [c, x, y]), h.np_dtype_to_tensor_dtype(np.dtype(d)))

@case
def swish(g):
    g.opset = 24
    x, p = g.act(shape(1, 3), dt=dt8())
    g.end(g.op('Swish', [x], alpha=float(r.choice([1.0, 1.702, 0.5]))))

@case
def by_ones(g):
    s = shape(1, 3)
    x, p = g.act(s)
    v = np.full(s, {'Mul': 1, 'Div': 1, 'Add': 0, 'Sub': 0}[o := str(r.choice(['Mul', 'Div', 'Add', 'Sub']))], f32)
    g.end(g.op(o, [x, g.c(v)]))

@case
def newest_set(g):
    g.opset = R(23, 24)
    x, p = g.act([2, 3, 4])
    y, q = g.act([2, 3, 4])
    w = g.c(r.uniform(0.5, 1.5, 4).astype(f32))
    z = [lambda: g.op('Add', [x, y]), lambda: g.op('RMSNormalization', [x, w], axis=-1),
         lambda: g.op('Transpose', [x], perm=[2, 0, 1]), lambda: g.op('Reshape', [x, g.ints([4, 6])]),
         lambda: g.op('Softmax', [x], axis=-1), lambda: g.op('MatMul', [x, g.op('Transpose', [y], perm=[0, 2, 1])]),
         lambda: g.op('TopK', [x, g.ints([2])], 2)[0]][R(0, 6)]()
    g.end(z)
fails = {}
for rd in range(rounds):
    for nme, f in CASES.items():
        if only and nme not in only.split(','):
            continue
        g = G(OPS())
        f(g)
        e = g.build(f"{out}/{nme.strip('_')}_{seed}_{rd}")
        if e:
            fails.setdefault(nme, []).append((g.opset, e))
for k, v in fails.items():
    print(k, len(v), v[0])
