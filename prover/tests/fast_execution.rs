//! The prover's own execution of contractions and matrix products against the reference semantics.

use proptest::prelude::*;
use vinfer_circuits::ops::{Contract, MatMul, Requant, Window};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program, Quantisation, Value};
use vinfer_prover::execute::run;

fn value(shape: &[u32], min: i32, max: i32) -> Value {
    let int_type = IntType::Range { min, max };
    Value {
        name: String::new(),
        shape: shape.to_vec(),
        quantisation: Quantisation { scale_bits: 0, zero_point: 0, int_type },
    }
}

fn program(values: Vec<Value>, inputs: u32, op: Op) -> Program {
    let port = |value| Port { name: String::new(), port_type: PortType::Integer, value, leading_batch: false };
    let output = op.output();
    Program { inputs: (0..inputs).map(port).collect(), outputs: vec![port(output)], values, ops: vec![op] }
}

/// Numbers of a seed: about half of them at the ends of the range.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.next() >> 16) as u32 % n
    }

    fn within(&mut self, lo: i32, hi: i32) -> i32 {
        match self.below(4) {
            0 => lo,
            1 => hi,
            _ => (i64::from(lo) + (self.next() % (i64::from(hi) - i64::from(lo) + 1) as u64) as i64) as i32,
        }
    }

    fn tensor(&mut self, value: &Value) -> Vec<i32> {
        let (lo, hi) = (value.quantisation.lo(), value.quantisation.hi());
        (0..value.len()).map(|_| self.within(lo, hi)).collect()
    }
}

fn requant(numbers: &mut Numbers) -> Requant {
    match numbers.below(4) {
        0 => Requant::Line { multiplier: i64::from(numbers.below(1 << 20)), offset: 1 << 19, shift: 30 },
        1 => Requant::Parity { multiplier: 77_777, offset: 12_345, odd_delta: -(1 << 10), shift: 28 },
        2 => Requant::Table { thresholds: (0..200).map(|i| i * 997 - 99_999).collect() },
        _ => Requant::Exact,
    }
}

/// A contraction of random shape; `largest` bounds the input.
fn contraction(seed: u64, largest: i32) {
    let mut n = Numbers(seed | 1);
    let rank = 1 + n.below(5) as usize;
    let channel = n.below(rank as u32) as usize;
    let groups = 1 + n.below(4);
    let in_per_group = [1, 2, 3, 17, 40][n.below(5) as usize];
    let out_per_group = 1 + n.below(4) * n.below(12);
    let (mut input, mut output, mut windows) = (vec![0u32; rank], vec![0u32; rank], Vec::new());
    for axis in 0..rank {
        if axis == channel {
            (input[axis], output[axis]) = (groups * in_per_group, groups * out_per_group);
            continue;
        }
        input[axis] = 1 + n.below(if rank > 3 { 5 } else { 20 });
        output[axis] = input[axis];
        // At most 64 taps: the reference sums the taps of one channel in 32 bits.
        if windows.len() < 3 && n.below(3) > 0 {
            let w = Window {
                axis: axis as u8,
                kernel: 1 + n.below(4),
                stride: 1 + n.below(3),
                dilation: 1 + n.below(3),
                pad_begin: n.below(4),
            };
            // Any length is allowed: what lies outside is padding.
            output[axis] = 1 + n.below(2 + input[axis] / w.stride);
            windows.push(w);
        }
    }
    let taps: u32 = windows.iter().map(|w| w.kernel).product();
    let out_channels = groups * out_per_group;
    let contract = Contract {
        input: 0,
        output: 1,
        channel_axis: channel as u8,
        windows,
        groups,
        out_channels,
        weights: (0..out_channels * in_per_group * taps).map(|_| n.within(-255, 255) as i16).collect(),
        bias: (0..out_channels).map(|_| i64::from(n.within(-1 << 20, 1 << 20))).collect(),
        requant: (0..out_channels).map(|_| requant(&mut n)).collect(),
    };
    let values = vec![value(&input, -largest, largest), value(&output, -128, 127)];
    let x = n.tensor(&values[0]);
    let acc = contract.accumulate(&x, &values[0], &values[1]);
    let y = contract.requantise(&acc, &values[1]);
    let execution = run(&program(values, 1, Op::Contract(contract)), &[x]).expect("inputs that fit");
    assert_eq!(execution.accumulators[0], acc);
    assert_eq!(execution.trace[1], y);
}

fn matrix_product(seed: u64, largest: i32) {
    let mut n = Numbers(seed | 1);
    let (m, k, width) = (1 + n.below(9), 1 + n.below(70), 1 + n.below(40));
    let batch: Vec<u32> = (0..n.below(3)).map(|_| 1 + n.below(3)).collect();
    let mut shape = |rows: u32, columns: u32, whole: bool| -> Vec<u32> {
        let own: Vec<u32> = batch.iter().map(|&d| if whole || n.below(3) > 0 { d } else { 1 }).collect();
        [own.as_slice(), &[rows, columns]].concat()
    };
    let shapes = [shape(m, k, false), shape(k, width, false), shape(m, width, true)];
    let values =
        vec![value(&shapes[0], -largest, largest), value(&shapes[1], -largest, largest), value(&shapes[2], -128, 127)];
    let op = MatMul { a: 0, b: 1, output: 2, requant: requant(&mut n) };
    let (a, b) = (n.tensor(&values[0]), n.tensor(&values[1]));
    let acc = op.accumulate(&a, &values[0], &b, &values[1], &values[2]);
    let y: Vec<i32> = acc.iter().map(|&v| op.requant.apply(v, -128, 127)).collect();
    let execution = run(&program(values, 2, Op::MatMul(op)), &[a, b]).expect("inputs that fit");
    assert_eq!(execution.accumulators[0], acc);
    assert_eq!(execution.trace[2], y);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn contractions(seed: u64) {
        contraction(seed, 255);
    }

    /// Inputs that do not fit 16 bits, or whose sums do not fit 32.
    #[test]
    fn contractions_of_wide_integers(seed: u64) {
        contraction(seed, 40_000);
        contraction(seed, 32_767);
    }

    #[test]
    fn matrix_products(seed: u64) {
        matrix_product(seed, 255);
        matrix_product(seed, 30_000);
        matrix_product(seed, 1 << 20);
    }
}

/// Sums just inside and just outside 32 bits.
#[test]
fn sums_at_the_edge_of_32_bits() {
    for channels in [66_310u32, 66_320] {
        let (w, x) = (255i16, 127);
        let contract = Contract {
            input: 0,
            output: 1,
            channel_axis: 1,
            windows: Vec::new(),
            groups: 1,
            out_channels: 2,
            weights: [vec![w; channels as usize], vec![-w; channels as usize]].concat(),
            bias: vec![1, -1],
            requant: vec![Requant::Exact; 2],
        };
        let values = vec![value(&[1, channels], -x, x), value(&[1, 2], i32::MIN, i32::MAX)];
        let input = vec![x; channels as usize];
        let execution = run(&program(values, 1, Op::Contract(contract)), &[input]).unwrap();
        let sum = i64::from(w) * i64::from(x) * i64::from(channels);
        assert_eq!(execution.accumulators[0], [sum + 1, -sum - 1]);
    }
}
