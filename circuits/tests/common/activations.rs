//! Tiny programs of the operations between activations: products, movement, extrema, embeddings, float arithmetic.

use super::programs::{Builder, Form, Named};
use vinfer_circuits::ops::float::{key, to_bits};
use vinfer_circuits::ops::{
    Add, AddForm, Arrange, AxisIndices, Embed, Extremum, ExtremumResult, Float, FloatKind, MatMul, Multiply, Operand,
    Part, PartSource, Requant, RewireKind,
};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program};

const UNSET: Requant = Requant::Exact;

impl Builder {
    pub(crate) fn matmul(&mut self, a: u32, b: u32, out: &[u32], form: Form) -> u32 {
        let output = self.hidden(out);
        let mut op = MatMul { a, b, output, requant: UNSET };
        let range = op.reachable(&self.program.values[a as usize], &self.program.values[b as usize]);
        op.requant = self.requant(form, range, output);
        self.program.ops.push(Op::MatMul(op));
        output
    }

    pub(crate) fn multiply(&mut self, a: u32, b: Operand, form: Form) -> u32 {
        let output = self.hidden(&self.program.values[a as usize].shape.clone());
        let b_range = match &b {
            Operand::Value(b) => {
                let q = self.program.values[*b as usize].quantisation;
                (q.lo().into(), q.hi().into())
            }
            Operand::Constant { lo, hi, .. } => ((*lo).into(), (*hi).into()),
        };
        let mut op = Multiply { a, b, output, requant: UNSET };
        let range = op.reachable(&self.program.values[a as usize], b_range);
        op.requant = self.requant(form, range, output);
        self.program.ops.push(Op::Multiply(op));
        output
    }

    pub(crate) fn like(&mut self, value: u32, shape: &[u32]) -> u32 {
        let q = self.program.values[value as usize].quantisation;
        self.value(shape, q.zero_point, q.int_type)
    }

    pub(crate) fn arrange(&mut self, like: u32, out: &[u32], parts: Vec<Part>) -> u32 {
        let output = self.like(like, out);
        self.program.ops.push(Op::Arrange(Arrange { output, parts }));
        output
    }

    pub(crate) fn extremum(&mut self, input: u32, axis: u8, least: bool, result: ExtremumResult) -> u32 {
        let mut shape = self.program.values[input as usize].shape.clone();
        let len = shape[axis as usize];
        shape[axis as usize] = 1;
        let output = match result {
            ExtremumResult::Value => self.like(input, &shape),
            _ => self.value(&shape, 0, IntType::Range { min: 0, max: len as i32 - 1 }),
        };
        self.program.ops.push(Op::Extremum(Extremum { input, output, axis, least, result }));
        output
    }

    pub(crate) fn float(&mut self, shape: &[u32], kind: FloatKind) -> u32 {
        let output = self.value(shape, 0, IntType::F32);
        self.program.values[output as usize].quantisation.scale_bits = 1f32.to_bits();
        self.program.ops.push(Op::Float(Float { output, kind }));
        output
    }

    /// Dequantisation by a scale.
    pub(crate) fn dequantised(&mut self, input: u32, scale: f32) -> u32 {
        let value = self.program.values[input as usize].clone();
        let (lo, hi) = (value.quantisation.lo(), value.quantisation.hi());
        let table = (lo..=hi).map(|c| to_bits(c as f32 * scale).cast_unsigned()).collect();
        self.float(&value.shape, FloatKind::Table { input, table })
    }

    /// Step function to 8 bits with steps of `scale`; `axis` with other steps per channel.
    pub(crate) fn quantised(&mut self, input: u32, scale: f32, axis: Option<u8>) -> u32 {
        let shape = self.program.values[input as usize].shape.clone();
        let output = self.hidden(&shape);
        let q = self.program.values[output as usize].quantisation;
        let channels = axis.map_or(1, |a| shape[a as usize]);
        let thresholds = (0..channels)
            .map(|c| (q.lo()..q.hi()).map(|level| key((level as f32 + 0.5) * scale * (1.0 + c as f32))).collect())
            .collect();
        self.program.ops.push(Op::Float(Float { output, kind: FloatKind::Quantise { input, axis, thresholds } }));
        output
    }

    pub(crate) fn scalar(&self, rank: usize, x: f32) -> Operand {
        Operand::Constant { shape: vec![1; rank], data: vec![to_bits(x)], lo: 0, hi: 0 }
    }
}

pub(crate) fn run(start: u32, step: i32) -> AxisIndices {
    AxisIndices::Run { start, step }
}

pub(crate) fn part(at: &[u32], shape: &[u32], input: u32, indices: Vec<AxisIndices>) -> Part {
    Part { at: at.to_vec(), shape: shape.to_vec(), source: PartSource::Value { input, indices } }
}

/// One program per operation and form, with constants drawn from `seed`.
pub(crate) fn all(seed: u64) -> Vec<Named> {
    let mut out: Vec<Named> = Vec::new();
    products(seed, &mut out);
    movement(seed, &mut out);
    extrema(seed, &mut out);
    floats(seed, &mut out);
    out
}

fn products(seed: u64, out: &mut Vec<Named>) {
    for (name, form) in [("matmul line", Form::Line), ("matmul parity", Form::Parity), ("matmul table", Form::Table)] {
        let mut b = Builder::new(seed);
        let x = b.input(&[1, 2, 3, 4]);
        let w = b.input(&[1, 1, 4, 3]);
        let y = b.matmul(x, w, &[1, 2, 3, 3], form);
        out.push((name, b.finish(y)));
    }
    // Attention: heads split from channels, keys transposed.
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 3, 6]);
    let w = b.input(&[1, 3, 6]);
    let split = |b: &mut Builder, v: u32, permutation: Vec<u8>, shape: &[u32]| {
        let heads = b.rewire(v, &[1, 3, 2, 3], RewireKind::Reshape);
        b.rewire(heads, shape, RewireKind::Transpose { permutation })
    };
    let q = split(&mut b, x, vec![0, 2, 1, 3], &[1, 2, 3, 3]);
    let k = split(&mut b, w, vec![0, 2, 3, 1], &[1, 2, 3, 3]);
    let s = b.matmul(q, k, &[1, 2, 3, 3], Form::Line);
    let v = split(&mut b, w, vec![0, 2, 1, 3], &[1, 2, 3, 3]);
    let o = b.matmul(s, v, &[1, 2, 3, 3], Form::Line);
    let t = b.rewire(o, &[1, 3, 2, 3], RewireKind::Transpose { permutation: vec![0, 2, 1, 3] });
    let y = b.rewire(t, &[1, 3, 6], RewireKind::Reshape);
    let z = b.contract(y, &[1, 3, 2], 2, 1, Vec::new(), Form::Line);
    out.push(("attention", b.finish(z)));
    for (name, form) in [("multiply line", Form::Line), ("multiply table", Form::Table)] {
        let mut b = Builder::new(seed);
        let x = b.input(&[1, 3, 2]);
        let w = b.input(&[1, 1, 2]);
        let y = b.multiply(x, Operand::Value(w), form);
        out.push((name, b.finish(y)));
    }
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 3, 2]);
    let constant = Operand::Constant { shape: vec![1, 3, 1], data: vec![-7, 100, 0], lo: -128, hi: 127 };
    let y = b.multiply(x, constant, Form::Parity);
    out.push(("multiply constant", b.finish(y)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 3]);
    let w = b.input(&[1, 3]);
    let y = b.value(&[1, 3], 0, IntType::Range { min: -512, max: 511 });
    let form = AddForm::Exact { multiplier_a: 1, multiplier_b: -1, offset: 0 };
    b.program.ops.push(Op::Add(Add { a: x, b: Operand::Value(w), output: y, form }));
    let squeeze = (-512..=511).map(|v: i32| v.div_euclid(4)).collect();
    let z = b.value(&[1, 3], 0, IntType::I8);
    let lookup = vinfer_circuits::ops::Lookup { input: y, output: z, table: squeeze };
    b.program.ops.push(Op::Lookup(lookup));
    out.push(("difference", b.finish(z)));
}

fn movement(seed: u64, out: &mut Vec<Named>) {
    let mut b = Builder::new(seed);
    let x = b.input(&[2, 3, 4]);
    let w = b.like(x, &[2, 3, 4]);
    let port = b.port(w);
    b.program.inputs.push(port);
    // Concatenation of a reversed slice, a strided slice, a gather, and padding.
    let y = b.arrange(
        x,
        &[2, 7, 2],
        vec![
            part(&[0, 0, 0], &[2, 3, 2], x, vec![run(0, 1), run(2, -1), run(1, 1)]),
            part(&[0, 3, 0], &[2, 2, 2], w, vec![run(1, -1), run(0, 2), run(0, 3)]),
            part(&[0, 5, 0], &[2, 1, 2], w, vec![run(0, 1), run(1, 1), AxisIndices::List(vec![3, 3])]),
            Part { at: vec![0, 6, 0], shape: vec![2, 1, 1], source: PartSource::Constant { data: vec![0] } },
            Part { at: vec![0, 6, 1], shape: vec![2, 1, 1], source: PartSource::Constant { data: vec![0, 0] } },
        ],
    );
    let z = b.rewire(y, &[2, 14], RewireKind::Reshape);
    out.push(("arrange", b.finish(z)));

    let mut b = Builder::new(seed);
    let ids = b.value(&[1, 3], 0, IntType::Range { min: 0, max: 4 });
    let port = Port { name: "ids".to_owned(), port_type: PortType::Int64, value: ids, leading_batch: true };
    b.program.inputs.push(port);
    let y = b.hidden(&[1, 3, 6]);
    let q = b.program.values[y as usize].quantisation;
    let table = (0..30).map(|_| b.rng.range(q.lo().into(), q.hi().into()) as i16).collect();
    b.program.ops.push(Op::Embed(Embed { indices: ids, output: y, rows: 5, table }));
    let z = b.contract(y, &[1, 3, 2], 2, 1, Vec::new(), Form::Line);
    out.push(("embed", b.finish(z)));
}

fn extrema(seed: u64, out: &mut Vec<Named>) {
    for (name, axis, least, result) in [
        ("largest", 1, false, ExtremumResult::Value),
        ("smallest", 2, true, ExtremumResult::Value),
        ("first largest", 1, false, ExtremumResult::FirstIndex),
        ("last smallest", 2, true, ExtremumResult::LastIndex),
    ] {
        let mut b = Builder::new(seed);
        let x = b.input(&[1, 5, 3]);
        let y = b.extremum(x, axis, least, result);
        if result == ExtremumResult::Value {
            out.push((name, b.finish(y)));
        } else {
            let port = b.port(y);
            b.program.outputs.push(Port { port_type: PortType::Int64, ..port });
            b.program.validate().unwrap();
            out.push((name, b.program));
        }
    }
}

fn floats(seed: u64, out: &mut Vec<Named>) {
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 4]);
    let w = b.input(&[1, 4]);
    let (fx, fw) = (b.dequantised(x, 0.0173), b.dequantised(w, 0.0171));
    let sum = b.float(&[1, 4], FloatKind::Add { a: Operand::Value(fx), b: Operand::Value(fw), subtract: true });
    let product = b.float(&[1, 4], FloatKind::Multiply { a: Operand::Value(sum), b: Operand::Value(fx) });
    let more = b.scalar(2, 0.3);
    let sum = b.float(&[1, 4], FloatKind::Add { a: Operand::Value(product), b: more, subtract: false });
    let y = b.quantised(sum, 0.05, Some(1));
    out.push(("float sum and product", b.finish(y)));

    // Softmax: shift by the maximum, table, running sum, quotient.
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 2, 5]);
    let m = b.extremum(x, 2, false, ExtremumResult::Value);
    let d = b.value(&[1, 2, 5], 0, IntType::Range { min: -255, max: 255 });
    let form = AddForm::Exact { multiplier_a: 1, multiplier_b: -1, offset: 0 };
    b.program.ops.push(Op::Add(Add { a: x, b: Operand::Value(m), output: d, form }));
    let table: Vec<u32> = (-255..=255).map(|d: i32| (d as f32 * 0.1).exp().to_bits()).collect();
    let e = b.float(&[1, 2, 5], FloatKind::Table { input: d, table });
    let sums = b.float(&[1, 2, 5], FloatKind::RunningSum { input: e, axis: 2 });
    let last = b.float_part(sums, &[1, 2, 1], vec![run(0, 1), run(0, 1), run(4, 1)]);
    let y = b.float(&[1, 2, 5], FloatKind::Divide { a: Operand::Value(e), b: Operand::Value(last) });
    let y = b.quantised(y, 1.0 / 256.0, None);
    out.push(("float softmax", b.finish(y)));

    // Layer normalisation: mean, differences, running squares in lanes, square root, reciprocal.
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 2, 6]);
    let value = b.program.values[x as usize].clone();
    let (lo, hi) = (value.quantisation.lo(), value.quantisation.hi());
    let table: Vec<u32> = (lo..=hi).map(|c| to_bits(c as f32 * 0.0371).cast_unsigned()).collect();
    let mean = b.float(&[1, 2, 1], FloatKind::Mean { input: x, table: table.clone(), axes: vec![2], count: 6 });
    let fx = b.float(&[1, 2, 6], FloatKind::Table { input: x, table });
    let d = b.float(&[1, 2, 6], FloatKind::Add { a: Operand::Value(fx), b: Operand::Value(mean), subtract: true });
    let lanes = b.float_rewire(d, &[1, 2, 3, 2]);
    let squares = b.float(&[1, 2, 3, 2], FloatKind::RunningSquares { input: lanes, axis: 2 });
    let [even, odd] =
        [0, 1].map(|lane| b.float_part(squares, &[1, 2, 1, 1], vec![run(0, 1), run(0, 1), run(2, 1), run(lane, 1)]));
    let sum = FloatKind::Add { a: Operand::Value(even), b: Operand::Value(odd), subtract: false };
    let sum = b.float(&[1, 2, 1, 1], sum);
    let six = b.scalar(4, 6.0);
    let variance = b.float(&[1, 2, 1, 1], FloatKind::Divide { a: Operand::Value(sum), b: six });
    let epsilon = b.scalar(4, 1e-5);
    let variance = FloatKind::Add { a: Operand::Value(variance), b: epsilon, subtract: false };
    let variance = b.float(&[1, 2, 1, 1], variance);
    let deviation = b.float(&[1, 2, 1, 1], FloatKind::SquareRoot { a: variance });
    let one = b.scalar(4, 1.0);
    let inverse = b.float(&[1, 2, 1, 1], FloatKind::Divide { a: one, b: Operand::Value(deviation) });
    let inverse = b.float_rewire(inverse, &[1, 2, 1]);
    let y = b.float(&[1, 2, 6], FloatKind::Multiply { a: Operand::Value(d), b: Operand::Value(inverse) });
    let q = b.quantised(y, 0.02, Some(2));
    let mut program = b.finish(q);
    // A mean with weights by channel, and the mean as an output of its own, as floats.
    let input = program.ops.iter().find_map(|op| match op {
        Op::Float(Float { kind: FloatKind::Mean { input, table, .. }, .. }) => Some((*input, table.clone())),
        _ => None,
    });
    let (input, table) = input.unwrap();
    let weighted = program.values.len() as u32;
    program.values.push(program.values[mean as usize].clone());
    let kind = FloatKind::WeightedMean { input, table, weights: vec![1, 1, 4, 1, 32, 1], count: 6 };
    program.ops.push(Op::Float(Float { output: weighted, kind }));
    program.outputs.push(Port {
        name: "weighted".to_owned(),
        port_type: PortType::Float32,
        value: weighted,
        leading_batch: true,
    });
    program.outputs.push(Port {
        name: "mean".to_owned(),
        port_type: PortType::Float32,
        value: mean,
        leading_batch: true,
    });
    program.validate().unwrap();
    out.push(("float normalisation", program));
}

impl Builder {
    pub(crate) fn float_part(&mut self, input: u32, shape: &[u32], indices: Vec<AxisIndices>) -> u32 {
        let at = vec![0; shape.len()];
        self.arrange(input, shape, vec![part(&at, shape, input, indices)])
    }

    pub(crate) fn float_rewire(&mut self, input: u32, shape: &[u32]) -> u32 {
        self.rewire(input, shape, RewireKind::Reshape)
    }
}

/// Inputs that make float programs meet zeros, cancellation and far-apart exponents.
pub(crate) fn hard_inputs(program: &Program) -> Vec<Vec<i32>> {
    let element = |value: usize, at: usize| {
        let q = &program.values[value].quantisation;
        [0, 0, 1, q.hi(), 0, 1][at % 6].clamp(q.lo(), q.hi())
    };
    let ports = program.inputs.iter().map(|p| p.value as usize);
    ports.map(|value| (0..program.values[value].len()).map(|at| element(value, at)).collect()).collect()
}
