//! Random programs over all operations, small enough for the independent interpreter.

use super::activations::{part, run};
use super::programs::{Builder, Form, window};
use vinfer_circuits::ops::float::to_bits;
use vinfer_circuits::ops::{
    Add, AddForm, AxisIndices, Embed, ExtremumResult, FloatKind, Lookup, Operand, Part, PartSource, RewireKind,
};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program};

struct Random {
    b: Builder,
    /// 8-bit tensors.
    integers: Vec<u32>,
    /// Floats of moderate size.
    floats: Vec<u32>,
    /// Floats above zero.
    positive: Vec<u32>,
}

impl Random {
    fn pick(&mut self, n: usize) -> usize {
        self.b.rng.range(0, n as i64 - 1) as usize
    }

    fn one(&mut self, list: &[u32]) -> Option<u32> {
        (!list.is_empty()).then(|| list[self.pick(list.len())])
    }

    fn shape(&self, value: u32) -> Vec<u32> {
        self.b.program.values[value as usize].shape.clone()
    }

    fn form(&mut self) -> Form {
        [Form::Line, Form::Parity, Form::Table][self.pick(3)]
    }

    /// Another value of the list that broadcasts to `shape`.
    fn partner(&mut self, list: &[u32], shape: &[u32]) -> Option<u32> {
        let fits = |&v: &u32| {
            let own = self.shape(v);
            own.len() == shape.len() && own.iter().zip(shape).all(|(&a, &b)| a == b || a == 1)
        };
        let all: Vec<u32> = list.iter().copied().filter(fits).collect();
        self.one(&all)
    }

    /// A random regrouping of the elements.
    fn reshaped(&mut self, shape: &[u32]) -> Vec<u32> {
        let mut out = shape.to_vec();
        for _ in 0..2 {
            let at = self.pick(out.len());
            match self.pick(3) {
                0 if out.len() > 1 && at + 1 < out.len() => {
                    let merged = out[at] * out[at + 1];
                    out.splice(at..at + 2, [merged]);
                }
                1 if out[at].is_multiple_of(2) && out.len() < 5 => {
                    let half = out[at] / 2;
                    out.splice(at..=at, [2, half]);
                }
                _ if out.len() < 5 => out.insert(at, 1),
                _ => {}
            }
        }
        out
    }

    fn indices(&mut self, len: u32) -> (u32, AxisIndices) {
        match self.pick(5) {
            0 => (len, run(len - 1, -1)),
            1 => {
                let start = self.pick(len as usize) as u32;
                (len - start, run(start, 1))
            }
            2 => (len.div_ceil(2), run(0, 2)),
            3 => {
                let n = self.pick(3) as u32 + 1;
                (n, AxisIndices::List((0..n).map(|_| self.pick(len as usize) as u32).collect()))
            }
            _ => (len, run(0, 1)),
        }
    }

    /// A random slice of a tensor, concatenated along an axis with another and with constants.
    fn arrange(&mut self, input: u32, float: bool) -> u32 {
        let own = self.shape(input);
        let mut shape = Vec::new();
        let mut indices = Vec::new();
        for &len in &own {
            let (n, i) = self.indices(len);
            shape.push(n);
            indices.push(i);
        }
        let axis = self.pick(own.len());
        let mut parts = vec![part(&vec![0; own.len()], &shape, input, indices.clone())];
        let mut out = shape.clone();
        if self.pick(2) == 0 {
            let mut at = vec![0; own.len()];
            at[axis] = out[axis];
            out[axis] += shape[axis];
            parts.push(part(&at, &shape, input, indices));
        }
        if self.pick(2) == 0 {
            let mut at = vec![0; own.len()];
            at[axis] = out[axis];
            out[axis] += 1;
            let mut size = shape;
            size[axis] = 1;
            let count: u32 = size.iter().product();
            let one = if float { to_bits(-0.75) } else { 0 };
            let data = if self.pick(2) == 0 { vec![one] } else { (0..count).map(|_| one).collect() };
            parts.push(Part { at, shape: size, source: PartSource::Constant { data } });
        }
        self.b.arrange(input, &out, parts)
    }

    fn integer_step(&mut self) -> Option<u32> {
        let list = self.integers.clone();
        let x = self.one(&list)?;
        let shape = self.shape(x);
        let axis = self.pick(shape.len());
        let form = self.form();
        Some(match self.pick(12) {
            0 => {
                let mut out = shape;
                out[axis] = self.pick(4) as u32 + 1;
                self.b.contract(x, &out, axis as u8, 1, Vec::new(), form)
            }
            1 if shape.len() > 1 => {
                let w = (axis + 1) % shape.len();
                let mut out = shape;
                out[axis] = 2;
                self.b.contract(x, &out, axis as u8, 1, vec![window(w as u8, 3, 1, 1, 1)], Form::Mixed)
            }
            2 => {
                let b = self.partner(&list, &shape)?;
                self.b.add(x, Operand::Value(b), Form::Line)
            }
            3 => self.b.sum(x, &[axis as u8], form),
            4 => {
                let out = self.reshaped(&shape);
                self.b.rewire(x, &out, RewireKind::Reshape)
            }
            5 => {
                let permutation: Vec<u8> = (0..shape.len()).map(|i| ((i + axis) % shape.len()) as u8).collect();
                let out: Vec<u32> = permutation.iter().map(|&p| shape[p as usize]).collect();
                self.b.rewire(x, &out, RewireKind::Transpose { permutation })
            }
            6 => self.arrange(x, false),
            7 => {
                let b = self.partner(&list, &shape)?;
                self.b.multiply(x, Operand::Value(b), form)
            }
            8 => self.b.extremum(x, axis as u8, form == Form::Line, ExtremumResult::Value),
            9 if shape.len() >= 2 => {
                let rank = shape.len();
                let mut swapped: Vec<u8> = (0..rank as u8).collect();
                swapped.swap(rank - 1, rank - 2);
                let mut back = shape.clone();
                back.swap(rank - 1, rank - 2);
                let b = self.b.rewire(x, &back, RewireKind::Transpose { permutation: swapped });
                let a = self.partner(&list, &shape).filter(|&a| self.shape(a)[rank - 2..] == shape[rank - 2..])?;
                let mut out = shape;
                out[rank - 1] = out[rank - 2];
                self.b.matmul(a, b, &out, form)
            }
            10 => {
                let out = shape.clone();
                self.b.max_pool(x, &out, vec![window(axis as u8, 2, 1, 1, 1)]);
                let mut out = shape;
                out[axis] = out[axis].div_ceil(2);
                self.b.max_pool(x, &out, vec![window(axis as u8, 2, 2, 1, 0)])
            }
            _ => self.difference(x, &list)?,
        })
    }

    /// `lookup(x - y)`, the difference being exact.
    fn difference(&mut self, x: u32, list: &[u32]) -> Option<u32> {
        let shape = self.shape(x);
        let y = self.partner(list, &shape)?;
        let d = self.b.value(&shape, 0, IntType::Range { min: -512, max: 511 });
        let form = AddForm::Exact { multiplier_a: 1, multiplier_b: -1, offset: 1 };
        self.b.program.ops.push(Op::Add(Add { a: x, b: Operand::Value(y), output: d, form }));
        let output = self.b.value(&shape, 0, IntType::I8);
        let table = (-512..=511).map(|v: i32| v.div_euclid(4)).collect();
        self.b.program.ops.push(Op::Lookup(Lookup { input: d, output, table }));
        Some(output)
    }

    fn float_step(&mut self) -> Option<()> {
        let (floats, positive) = (self.floats.clone(), self.positive.clone());
        let list = self.integers.clone();
        let x = self.one(&list)?;
        let f = self.one(&floats);
        match self.pick(10) {
            0 | 1 => {
                let y = self.b.dequantised(x, 0.0371);
                self.floats.push(y);
            }
            2 => {
                let (shape, q) = (self.shape(x), self.b.program.values[x as usize].quantisation);
                let table = (q.lo()..=q.hi()).map(|c| (c as f32 * 0.02).exp().to_bits()).collect();
                let y = self.b.float(&shape, FloatKind::Table { input: x, table });
                self.positive.push(y);
                let axis = self.pick(shape.len()) as u8;
                let sums = self.b.float(&shape, FloatKind::RunningSum { input: y, axis });
                self.positive.push(sums);
            }
            3 => {
                let (shape, q) = (self.shape(x), self.b.program.values[x as usize].quantisation);
                let axis = self.pick(shape.len());
                let table = (q.lo()..=q.hi()).map(|c| to_bits(c as f32 * 0.013).cast_unsigned()).collect();
                let mut out = shape.clone();
                out[axis] = 1;
                let kind = FloatKind::Mean { input: x, table, axes: vec![axis as u8], count: shape[axis] };
                let y = self.b.float(&out, kind);
                self.floats.push(y);
            }
            4 | 5 => {
                let a = f?;
                let shape = self.shape(a);
                let b = Operand::Value(self.partner(&floats, &shape)?);
                let a = Operand::Value(a);
                let subtract = self.pick(2) == 0;
                let y = self.b.float(&shape, FloatKind::Add { a, b, subtract });
                self.floats.push(y);
            }
            6 => {
                let a = f?;
                let shape = self.shape(a);
                let b = Operand::Value(self.partner(&positive, &shape)?);
                let quotient = self.b.float(&shape, FloatKind::Divide { a: Operand::Value(a), b: b.clone() });
                let y = self.b.float(&shape, FloatKind::Multiply { a: b, b: Operand::Value(quotient) });
                self.floats.extend([quotient, y]);
            }
            7 => {
                let a = self.one(&positive)?;
                let shape = self.shape(a);
                let y = self.b.float(&shape, FloatKind::SquareRoot { a });
                self.positive.push(y);
            }
            8 => {
                let a = f?;
                let shape = self.shape(a);
                let y = match self.pick(3) {
                    0 => {
                        let axis = self.pick(shape.len()) as u8;
                        self.b.float(&shape, FloatKind::RunningSquares { input: a, axis })
                    }
                    1 => self.arrange(a, true),
                    _ => {
                        let out = self.reshaped(&shape);
                        self.b.float_rewire(a, &out)
                    }
                };
                self.floats.push(y);
            }
            _ => {
                let axis = self.pick(self.shape(f?).len()) as u8;
                let axis = (self.pick(2) == 0).then_some(axis);
                let y = self.b.quantised(f?, 0.11, axis);
                self.integers.push(y);
            }
        }
        Some(())
    }

    fn embed(&mut self) {
        let ids = self.b.value(&[1, 3], 0, IntType::Range { min: 0, max: 4 });
        let port = Port { name: "ids".to_owned(), port_type: PortType::Int64, value: ids, leading_batch: true };
        self.b.program.inputs.push(port);
        let output = self.b.hidden(&[1, 3, 4]);
        let q = self.b.program.values[output as usize].quantisation;
        let table = (0..20).map(|_| self.b.rng.range(q.lo().into(), q.hi().into()) as i16).collect();
        self.b.program.ops.push(Op::Embed(Embed { indices: ids, output, rows: 5, table }));
        self.integers.push(output);
    }
}

/// A random program; every tensor that nothing else reads is an output.
pub(crate) fn program(seed: u64) -> Program {
    let mut r = Random { b: Builder::new(seed), integers: Vec::new(), floats: Vec::new(), positive: Vec::new() };
    for _ in 0..2 {
        let shape = [r.pick(2) as u32 + 1, r.pick(4) as u32 + 1, r.pick(4) as u32 + 1];
        let x = r.b.input(&shape);
        r.integers.push(x);
    }
    if seed.is_multiple_of(3) {
        r.embed();
    }
    let steps = r.pick(6) + 3;
    for _ in 0..steps {
        if r.pick(2) == 0 {
            let small = |r: &Random, v: u32| r.b.program.values[v as usize].len() <= 48;
            if let Some(y) = r.integer_step().filter(|&y| small(&r, y)) {
                r.integers.push(y);
            }
        } else {
            let _ = r.float_step();
        }
    }
    let mut b = r.b;
    let read: Vec<u32> = b.program.ops.iter().flat_map(Op::inputs).collect();
    for value in 0..b.program.values.len() as u32 {
        let input = b.program.inputs.iter().any(|p| p.value == value);
        if !read.contains(&value) && !input {
            let port = b.port(value);
            b.program.outputs.push(port);
        }
    }
    if b.program.outputs.is_empty() {
        let port = b.port(b.program.inputs[0].value);
        b.program.outputs.push(port);
    }
    b.program.validate().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    b.program
}
