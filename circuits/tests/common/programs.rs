//! Tiny hand-made programs, one per primitive and form. Every operation under test has a hidden result, which an
//! injective table carries to the public output, so that its result is a witness column and no change can hide.

use super::Rng;
use vinfer_circuits::ops::{
    Add, AddForm, Contract, Lookup, MaxPool, Operand, Requant, Rewire, RewireKind, Sum, Window,
};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program, Quantisation, Value};

/// Which step functions the channels of an operation get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Line,
    Parity,
    Table,
    /// Channel i gets form i mod 3.
    Mixed,
}

/// A program under construction.
pub(crate) struct Builder {
    pub(crate) rng: Rng,
    pub(crate) program: Program,
}

impl Builder {
    pub(crate) fn new(seed: u64) -> Self {
        let program = Program { inputs: Vec::new(), outputs: Vec::new(), values: Vec::new(), ops: Vec::new() };
        Self { rng: Rng::new(seed), program }
    }

    pub(crate) fn value(&mut self, shape: &[u32], zero_point: i32, int_type: IntType) -> u32 {
        let id = self.program.values.len() as u32;
        let quantisation = Quantisation { scale_bits: 0.5f32.to_bits(), zero_point, int_type };
        self.program.values.push(Value { name: format!("v{id}"), shape: shape.to_vec(), quantisation });
        id
    }

    pub(crate) fn port(&self, value: u32) -> Port {
        let name = self.program.values[value as usize].name.clone();
        Port { name, port_type: PortType::Integer, value, leading_batch: true }
    }

    pub(crate) fn input(&mut self, shape: &[u32]) -> u32 {
        let zero_point = self.rng.range(0, 255) as i32;
        let value = self.value(shape, zero_point, IntType::U8);
        let port = self.port(value);
        self.program.inputs.push(port);
        value
    }

    pub(crate) fn hidden(&mut self, shape: &[u32]) -> u32 {
        let zero_point = self.rng.range(-128, 127) as i32;
        self.value(shape, zero_point, IntType::I8)
    }

    /// An injective table to a public output.
    pub(crate) fn finish(mut self, value: u32) -> Program {
        let shape = self.program.values[value as usize].shape.clone();
        let output = self.value(&shape, 0, IntType::U8);
        let table = (0..256).map(|i: i32| (i * 37 + 11) & 255).collect();
        self.program.ops.push(Op::Lookup(Lookup { input: value, output, table }));
        let port = self.port(output);
        self.program.outputs.push(port);
        self.program.validate().unwrap();
        self.program
    }

    /// A step function of the given form that spreads `min..=max` over (and beyond) the output range.
    pub(crate) fn requant(&mut self, form: Form, (min, max): (i64, i64), output: u32) -> Requant {
        let q = self.program.values[output as usize].quantisation;
        let span = (max - min).max(1);
        match form {
            Form::Table => {
                let mut thresholds: Vec<i64> = (q.lo()..q.hi()).map(|_| self.rng.range(min, max + 1)).collect();
                thresholds.sort_unstable();
                Requant::Table { thresholds }
            }
            Form::Line | Form::Mixed => {
                let shift = self.rng.range(12, 34) as u8;
                let levels = self.rng.range(100, 600);
                let multiplier = (((levels as i128) << shift) / i128::from(span)).max(1) as i64;
                Requant::Line { multiplier, offset: self.rng.range(-(1 << shift), 1 << shift), shift }
            }
            Form::Parity => {
                let shift = self.rng.range(20, 34) as u8;
                let levels = self.rng.range(100, 600);
                let multiplier = (((levels as i128) << shift) / i128::from(span)).max(1) as i64;
                let odd_delta = self.rng.range(-200_000, 200_000) << (shift - Requant::PARITY_DELTA_BITS);
                Requant::Parity { multiplier, offset: self.rng.range(-(1 << shift), 1 << shift), odd_delta, shift }
            }
        }
    }

    pub(crate) fn contract(
        &mut self,
        input: u32,
        out: &[u32],
        channel: u8,
        groups: u32,
        windows: Vec<Window>,
        form: Form,
    ) -> u32 {
        let output = self.hidden(out);
        let out_channels = out[channel as usize];
        let taps: u32 = windows.iter().map(|w| w.kernel).product();
        let row = self.program.values[input as usize].shape[channel as usize] / groups * taps;
        let weights = (0..row * out_channels).map(|_| self.rng.range(-127, 127) as i16).collect();
        let bias = (0..out_channels).map(|_| self.rng.range(-3000, 3000)).collect();
        let mut op = Contract {
            input,
            output,
            channel_axis: channel,
            windows,
            groups,
            out_channels,
            weights,
            bias,
            requant: Vec::new(),
        };
        let reachable = op.reachable(&self.program.values[input as usize]);
        for (index, &range) in reachable.iter().enumerate() {
            let own = match (form, index % 3) {
                (Form::Mixed, 0) => Form::Parity,
                (Form::Mixed, 1) => Form::Line,
                (Form::Mixed, _) => Form::Table,
                (form, _) => form,
            };
            let requant = self.requant(own, range, output);
            op.requant.push(requant);
        }
        self.program.ops.push(Op::Contract(op));
        output
    }

    pub(crate) fn sum(&mut self, input: u32, axes: &[u8], form: Form) -> u32 {
        let mut shape = self.program.values[input as usize].shape.clone();
        axes.iter().for_each(|&a| shape[a as usize] = 1);
        let output = self.hidden(&shape);
        let mut op =
            Sum { input, output, axes: axes.to_vec(), requant: Requant::Line { multiplier: 0, offset: 0, shift: 0 } };
        let range = op.reachable(&self.program.values[input as usize]);
        op.requant = self.requant(form, range, output);
        self.program.ops.push(Op::Sum(op));
        output
    }

    pub(crate) fn add(&mut self, a: u32, b: Operand, form: Form) -> u32 {
        let shape = self.program.values[a as usize].shape.clone();
        let output = self.hidden(&shape);
        let (a_q, q) =
            (self.program.values[a as usize].quantisation, self.program.values[output as usize].quantisation);
        let b_range = match &b {
            Operand::Value(b) => {
                let q = self.program.values[*b as usize].quantisation;
                (q.lo(), q.hi())
            }
            Operand::Constant { lo, hi, .. } => (*lo, *hi),
        };
        let form = if form == Form::Table {
            let rows = (a_q.hi() - a_q.lo() + 1) * (b_range.1 - b_range.0 + 1);
            AddForm::Table { table: (0..rows).map(|_| self.rng.range(q.lo().into(), q.hi().into()) as i32).collect() }
        } else {
            let shift = self.rng.range(14, 30) as u8;
            AddForm::Line {
                multiplier_a: self.rng.range(1 << (shift - 2), 1 << shift),
                multiplier_b: self.rng.range(-(1 << (shift - 1)), 1 << shift),
                offset: self.rng.range(-(1 << shift), 1 << shift),
                shift,
            }
        };
        self.program.ops.push(Op::Add(Add { a, b, output, form }));
        output
    }

    pub(crate) fn max_pool(&mut self, input: u32, out: &[u32], windows: Vec<Window>) -> u32 {
        let q = self.program.values[input as usize].quantisation;
        let output = self.value(out, q.zero_point, q.int_type);
        self.program.ops.push(Op::MaxPool(MaxPool { input, output, windows }));
        output
    }

    pub(crate) fn rewire(&mut self, input: u32, out: &[u32], kind: RewireKind) -> u32 {
        let q = self.program.values[input as usize].quantisation;
        let output = self.value(out, q.zero_point, q.int_type);
        self.program.ops.push(Op::Rewire(Rewire { input, output, kind }));
        output
    }
}

pub(crate) const fn window(axis: u8, kernel: u32, stride: u32, dilation: u32, pad_begin: u32) -> Window {
    Window { axis, kernel, stride, dilation, pad_begin }
}

/// A named program.
pub(crate) type Named = (&'static str, Program);

/// One program per primitive and form, with constants drawn from `seed`.
pub(crate) fn all(seed: u64) -> Vec<Named> {
    let mut out: Vec<Named> = Vec::new();
    for (name, form) in [
        ("contract line", Form::Line),
        ("contract parity", Form::Parity),
        ("contract table", Form::Table),
        ("contract mixed", Form::Mixed),
    ] {
        let mut b = Builder::new(seed);
        let x = b.input(&[1, 5]);
        let y = b.contract(x, &[1, 6], 1, 1, Vec::new(), form);
        out.push((name, b.finish(y)));
    }
    for (name, form) in [("sum line", Form::Line), ("sum parity", Form::Parity), ("sum table", Form::Table)] {
        let mut b = Builder::new(seed);
        let x = b.input(&[1, 3, 2, 3]);
        let y = b.sum(x, &[2, 3], form);
        out.push((name, b.finish(y)));
    }
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 2, 5, 5]);
    let y = b.contract(x, &[1, 3, 3, 3], 1, 1, vec![window(2, 3, 2, 1, 1), window(3, 2, 2, 1, 1)], Form::Mixed);
    let z = b.contract(y, &[1, 2, 3, 1], 1, 1, vec![window(2, 2, 1, 2, 1), window(3, 3, 1, 1, 0)], Form::Line);
    out.push(("conv stride pad dilation", b.finish(z)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 6, 3]);
    let y = b.contract(x, &[1, 4, 3], 1, 2, vec![window(2, 3, 1, 1, 1)], Form::Mixed);
    out.push(("conv grouped", b.finish(y)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 3, 4]);
    let y = b.contract(x, &[1, 3, 2], 1, 3, vec![window(2, 3, 1, 1, 0)], Form::Parity);
    out.push(("conv depthwise", b.finish(y)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 3, 2]);
    let w = b.input(&[1, 3, 1]);
    let y = b.add(x, Operand::Value(w), Form::Line);
    out.push(("add line", b.finish(y)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 3, 2]);
    let data = vec![-3, 4];
    let y = b.add(x, Operand::Constant { shape: vec![1, 1, 2], data, lo: -5, hi: 6 }, Form::Table);
    out.push(("add table", b.finish(y)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 2, 5, 5]);
    let y = b.max_pool(x, &[1, 2, 3, 3], vec![window(2, 3, 2, 1, 1), window(3, 3, 2, 1, 1)]);
    let z = b.max_pool(y, &[1, 2, 2, 1], vec![window(2, 2, 1, 1, 0), window(3, 2, 2, 2, 0)]);
    out.push(("max pool", b.finish(z)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 2, 3, 2]);
    let t = b.rewire(x, &[1, 2, 2, 3], RewireKind::Transpose { permutation: vec![0, 3, 1, 2] });
    let r = b.rewire(t, &[1, 12], RewireKind::Reshape);
    let y = b.contract(r, &[1, 3], 1, 1, Vec::new(), Form::Line);
    out.push(("rewire", b.finish(y)));
    let mut b = Builder::new(seed);
    let x = b.input(&[1, 7]);
    let table = (0..256).map(|_| b.rng.range(-100, 100) as i32).collect();
    let y = b.value(&[1, 7], 0, IntType::I8);
    b.program.ops.push(Op::Lookup(Lookup { input: x, output: y, table }));
    out.push(("lookup", b.finish(y)));
    out
}

/// Tables only, on `len` elements: `stages` of them, the last one public. Small commitments, sized by `len`.
pub(crate) fn lookups(seed: u64, len: u32, stages: usize) -> Program {
    let mut b = Builder::new(seed);
    let mut x = b.input(&[1, len]);
    for _ in 1..stages {
        let y = b.hidden(&[1, len]);
        let lo = b.program.values[y as usize].quantisation.lo();
        let table = (0..256).map(|i: i32| ((i * 101 + 7) & 255) + lo).collect();
        b.program.ops.push(Op::Lookup(Lookup { input: x, output: y, table }));
        x = y;
    }
    b.finish(x)
}

/// Random inputs in range, with the extremes in front.
pub(crate) fn inputs(program: &Program, seed: u64) -> Vec<Vec<i32>> {
    let mut rng = Rng::new(seed ^ 0x5eed);
    program
        .inputs
        .iter()
        .map(|port| {
            let value = &program.values[port.value as usize];
            let (lo, hi) = (value.quantisation.lo(), value.quantisation.hi());
            let mut draw = |at: usize| if at < 2 { [lo, hi][at] } else { rng.range(lo.into(), hi.into()) as i32 };
            (0..value.len()).map(&mut draw).collect()
        })
        .collect()
}
