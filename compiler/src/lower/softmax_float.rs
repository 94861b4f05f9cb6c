//! Softmax that stays in floating point: the runtime's own exponential and its sixteen lanes of sums.

use std::collections::BTreeSet;

use vinfer_circuits::ops::{Add, AddForm, FloatKind, Operand, float};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::float::{FloatTensor, held};
use super::softmax::rows;
use super::state::{Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::unary::exponential;

/// Most distinct powers of one Softmax.
const MAX_POWERS: usize = 1 << 17;

impl Lowering<'_> {
    pub(super) fn float_softmax(&mut self, node: &Node) -> Result<State, CompileError> {
        let real = self.function_of(node, 0)?;
        Ok(State::Float(self.softmax_of(node, &real)?))
    }

    /// `exp(x - max) * (1 / sum)`.
    pub(super) fn softmax_of(&mut self, node: &Node, real: &Real) -> Result<FloatTensor, CompileError> {
        let shape = self.value_ref(real.value).shape.clone();
        let rows = rows(node, &shape, self.graph.opset)?;
        let table = real.table();
        if !table.is_sorted() || table.len() > 256 {
            return Err(node.stays_float(
                "its input is not a dequantised 8-bit tensor",
                "put QuantizeLinear and DequantizeLinear (8 bits) directly before it",
            ));
        }
        // Rows along the last axis of a matrix.
        let rank = rows.shape.len();
        let mut permutation: Vec<u8> = (0..rank as u8).filter(|&a| usize::from(a) != rows.axis).collect();
        permutation.push(rows.axis as u8);
        let x = self.reshaped(node, real.value, rows.shape.clone())?;
        let x = self.transposed(node, x, permutation.clone())?;
        let moved = self.value_ref(x).shape.clone();
        let size = moved[rank - 1];
        let outer: u32 = moved[..rank - 1].iter().product();
        let x = self.reshaped(node, x, vec![outer, size])?;
        let powers = self.powers(node, x, &table)?;
        let sum = self.lane_sum(node, powers, outer, size)?;
        let inverse = self.reciprocal(node, sum)?;
        let y = self.times(node, powers, Operand::Value(inverse))?;
        let y = self.reshaped(node, y, moved)?;
        let mut back = vec![0u8; rank];
        for (i, &p) in permutation.iter().enumerate() {
            back[usize::from(p)] = i as u8;
        }
        let y = self.transposed(node, y, back)?;
        let value = self.reshaped(node, y, shape.clone())?;
        Ok(FloatTensor { value, shape, curves: None })
    }

    /// `exp(f32(x - max))`: a function of two small integers, numbered by its distinct results.
    fn powers(&mut self, node: &Node, x: ValueId, table: &[f32]) -> Result<ValueId, CompileError> {
        let most = self.row_maximum(node, x, 1)?;
        let power = |x: f32, most: f32| if x > most { 1.0 } else { exponential((x - most).max(-103.972_084)) };
        let pairs = table.iter().flat_map(|&x| table.iter().map(move |&m| power(x, m)));
        let bits: Vec<u32> = pairs.map(|p| float::to_bits(p).cast_unsigned()).collect();
        let distinct: Vec<u32> = bits.iter().copied().collect::<BTreeSet<u32>>().into_iter().collect();
        if distinct.len() > MAX_POWERS || !distinct.iter().all(|&b| held(f32::from_bits(b))) {
            return Err(node.unsupported(
                "its powers span more than 2^80, too much for proven float arithmetic",
                "quantise the scores with a smaller scale",
            ));
        }
        let numbers = bits.iter().map(|b| distinct.partition_point(|d| d < b) as i32).collect();
        let int_type = IntType::Range { min: 0, max: distinct.len() as i32 - 1 };
        let quantisation = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type };
        let shape = self.value_ref(x).shape.clone();
        let output = self.value(node, node.output(), shape.clone(), quantisation)?;
        let form = AddForm::Table { table: numbers };
        self.emit(&node.name, &node.op, Op::Add(Add { a: x, b: Operand::Value(most), output, form }), None);
        self.float(node, FloatKind::Table { input: output, table: distinct }, shape)
    }

    /// Row sums in sixteen lanes.
    fn lane_sum(&mut self, node: &Node, x: ValueId, outer: u32, size: u32) -> Result<ValueId, CompileError> {
        let groups = size.div_ceil(16);
        let padded = if groups * 16 == size {
            x
        } else {
            // Adding zeros behind the last element changes no lane.
            let zeros = self.constant_value(node, vec![outer, groups * 16 - size], vec![0], super::float::FLOAT)?;
            self.concatenated(node, &[x, zeros], 1)?
        };
        let lanes = self.reshaped(node, padded, vec![outer, groups, 16])?;
        let lanes = self.running_sum(node, lanes, 1)?;
        let lanes = self.reshaped(node, lanes, vec![outer, 16])?;
        let eight = self.fold_halves(node, lanes)?;
        let four = self.fold_pairs(node, eight)?;
        let two = self.fold_pairs(node, four)?;
        self.fold_pairs(node, two)
    }

    /// Adds neighbouring elements of the last axis.
    fn fold_pairs(&mut self, node: &Node, x: ValueId) -> Result<ValueId, CompileError> {
        let shape = self.value_ref(x).shape.clone();
        let pairs = self.reshaped(node, x, vec![shape[0], shape[1] / 2, 2])?;
        let first = self.sliced(node, pairs, 2, 0, 1)?;
        let second = self.sliced(node, pairs, 2, 1, 1)?;
        let sum = self.plus(node, first, Operand::Value(second))?;
        self.reshaped(node, sum, vec![shape[0], shape[1] / 2])
    }
}
