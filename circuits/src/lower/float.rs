//! Lowering of `Float`: single-precision arithmetic as relations between integers.
//!
//! A float is three cells `(M, e, s)`: its signed 24-bit significand, its exponent plus a bias, its sign, with value
//! `M * 2^(e - 160)`; zero is `(0, 0, 0)`. `round.rs` proves that a result is the nearest float to an exact number
//! given by integers; the other files supply that number for each operation.

use alloc::vec;
use alloc::vec::Vec;

use super::constants::{coefficient, expr, single};
use super::elementwise::constant_layout;
use super::views::{Signal, View};
use super::{Lowering, Step, same_maps};
use crate::field::from_i64;
use crate::ops::{Float, FloatKind, Operand};
use crate::program::{IntType, ValueId};
use crate::system::{AxisMap, ColumnId, Expr, Source};

mod arithmetic;
mod mean;
mod quantise;
mod round;
mod squares;
mod tables;

pub use round::RoundHints;
pub use tables::{MAX_BOOST, align_squares, align_sum};

/// Cells of a float.
pub(super) const FLOAT_PARTS: usize = 3;
/// Bias of the exponent cell over the exponent of the significand's last bit.
pub(super) const BIAS: i64 = 160;

/// The cells `(M, e, s)` of a float given by its bits.
pub fn split(bits: i32) -> [i64; FLOAT_PARTS] {
    let bits = bits.cast_unsigned();
    if bits & 0x7fff_ffff == 0 {
        return [0, 0, 0];
    }
    let magnitude = i64::from((bits & 0x7f_ffff) | 0x80_0000);
    let exponent = i64::from((bits >> 23) & 0xff) - 150 + BIAS;
    if bits >> 31 == 1 { [-magnitude, exponent, -1] } else { [magnitude, exponent, 1] }
}

/// Sources of a float's cells in one instance.
pub type FloatSources = [u16; FLOAT_PARTS];

/// Committed low limbs of a number that a relation needs to be non-negative; the top limb is implied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limbs {
    /// Columns, least significant first.
    pub columns: Vec<ColumnId>,
    /// Bits of each.
    pub bits: u8,
}

/// How to fill the hints of one float operation; numbers are source positions in the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloatStep {
    /// The lookup instance.
    pub instance: u32,
    /// What to fill.
    pub form: FloatForm,
}

/// The hints of each operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloatForm {
    /// `out = a + sign * b`; see `arithmetic.rs`.
    Sum {
        /// Left operand.
        a: FloatSources,
        /// Right operand.
        b: FloatSources,
        /// 1 or -1.
        sign: i64,
        /// Result.
        out: FloatSources,
        /// Exponent of the unit in which the sum is an integer.
        base: ColumnId,
        /// Powers of two that bring the operands to that unit.
        scales: [ColumnId; 2],
        /// Weight of the result's last bit in that unit.
        unit: ColumnId,
        /// Rounding.
        round: RoundHints,
    },
    /// `out = a * b`.
    Product {
        /// Left operand.
        a: FloatSources,
        /// Right operand.
        b: FloatSources,
        /// Result.
        out: FloatSources,
        /// Weight of the result's last bit.
        unit: ColumnId,
        /// Rounding.
        round: RoundHints,
    },
    /// `out = a / b`.
    Quotient {
        /// Dividend.
        a: FloatSources,
        /// Divisor.
        b: FloatSources,
        /// Result.
        out: FloatSources,
        /// Power of two that scales the dividend.
        scale: ColumnId,
        /// Rounding.
        round: RoundHints,
    },
    /// `out = sqrt(a)`.
    Root {
        /// Operand.
        a: FloatSources,
        /// Result.
        out: FloatSources,
        /// Power of two that scales the operand.
        scale: ColumnId,
        /// Low limb of the significand.
        low: ColumnId,
        /// Distances to both ends of the rounding interval.
        room: [Limbs; 2],
    },
    /// `out = x * x + before`; see `squares.rs`.
    Squares {
        /// Operand.
        x: FloatSources,
        /// Running sum before.
        before: FloatSources,
        /// Result.
        out: FloatSources,
        /// Columns of the alignment row: base, square's factor, sum's factor, which is shifted (2), the power of two of
        /// the shift, the bound on the quotient.
        row: [ColumnId; 7],
        /// The square, the shifted operand, its quotient, whether bits were shifted out.
        parts: [ColumnId; 4],
        /// Remainder of the shift, from below and from above.
        remainder: [Limbs; 2],
        /// Quotient, from below and from above.
        inside: [Limbs; 2],
        /// Weight of the result's last bit.
        unit: ColumnId,
        /// Rounding.
        round: RoundHints,
    },
    /// Integers behind a float table: `column = table[input - lo]`.
    Integers {
        /// Integer input.
        input: u16,
        /// Source of the list's number, and the length of a list, if there are several.
        class: Option<(u16, usize)>,
        /// Lowest value of the input.
        lo: i64,
        /// The integers, list by list.
        table: Vec<i64>,
        /// Column to fill.
        column: ColumnId,
    },
    /// `out = total * 2^unit_exponent / count`; see `mean.rs`.
    Mean {
        /// Sum of integers.
        total: u16,
        /// Exponent of their unit.
        unit_exponent: i64,
        /// Divisor.
        count: i64,
        /// Result.
        out: FloatSources,
        /// Scale of the total, weight of the result's last bit over `count`, and the bound on the total.
        row: [ColumnId; 3],
        /// Distances of the total to its bounds.
        inside: [Limbs; 2],
        /// Rounding.
        round: RoundHints,
    },
    /// Step function to an integer; see `quantise.rs`.
    Quantise {
        /// Operand.
        x: FloatSources,
        /// Position of the channel number, if there are channels.
        channel: Option<u16>,
        /// Interval starts of each channel, ascending, closed by the end.
        starts: Vec<Vec<i64>>,
        /// Columns of the interval's start and end.
        bounds: [ColumnId; 2],
        /// Distances to them.
        room: [Limbs; 2],
    },
}

/// A linear combination of sources with small signed coefficients.
#[derive(Debug, Clone, Default)]
pub(super) struct Linear {
    terms: Vec<(i64, u16)>,
    constant: i64,
}

impl Linear {
    pub(super) fn of(terms: &[(i64, u16)]) -> Self {
        Self { terms: terms.to_vec(), constant: 0 }
    }

    pub(super) fn plus(mut self, constant: i64) -> Self {
        self.constant += constant;
        self
    }

    pub(super) fn and(mut self, factor: i64, other: &Self) -> Self {
        self.terms.extend(other.terms.iter().map(|&(c, s)| (c * factor, s)));
        self.constant += other.constant * factor;
        self
    }

    /// The combination divided by `2^down`.
    pub(super) fn expr(&self, down: u32) -> Expr {
        let scaled = |v: i64| super::constants::scaled(v, down);
        Expr {
            terms: self.terms.iter().map(|&(c, s)| (scaled(c), s)).collect(),
            constant: scaled(self.constant),
            index_coefficient: 0,
        }
    }
}

impl Lowering<'_> {
    pub(super) fn is_float(&self, value: ValueId) -> bool {
        self.program.values[value as usize].quantisation.int_type == IntType::F32
    }

    pub(super) fn float(&mut self, op: &Float) -> Result<(), Signal> {
        match &op.kind {
            FloatKind::Table { input, table } => self.float_table(op.output, *input, table),
            FloatKind::Add { a, b, subtract } => {
                let frame = self.frame(op.output, &[a, b])?;
                self.float_sum(&frame, if *subtract { -1 } else { 1 });
                Ok(())
            }
            FloatKind::Multiply { a, b } => {
                let frame = self.frame(op.output, &[a, b])?;
                self.float_product(&frame);
                Ok(())
            }
            FloatKind::Divide { a, b } => {
                let frame = self.frame(op.output, &[a, b])?;
                self.float_quotient(&frame);
                Ok(())
            }
            FloatKind::SquareRoot { a } => {
                let frame = self.frame(op.output, &[&Operand::Value(*a)])?;
                self.float_root(&frame);
                Ok(())
            }
            FloatKind::RunningSum { input, axis } => {
                let frame = self.running_frame(op.output, *input, *axis)?;
                self.float_sum(&frame, 1);
                Ok(())
            }
            FloatKind::RunningSquares { input, axis } => {
                let frame = self.running_frame(op.output, *input, *axis)?;
                self.float_squares(&frame);
                Ok(())
            }
            FloatKind::Mean { input, table, axes, count } => {
                self.float_mean(op.output, *input, (table, &[]), axes, *count)
            }
            FloatKind::WeightedMean { input, table, weights, count } => {
                let last = self.program.values[*input as usize].shape.len().saturating_sub(1) as u8;
                self.float_mean(op.output, *input, (table, weights), &[last], *count)
            }
            FloatKind::Quantise { input, axis, thresholds } => {
                self.float_quantise(op.output, *input, *axis, thresholds)
            }
        }
    }

    /// Sources of a float stored in (or viewed through) a mantissa column, read by the same maps.
    fn float_sources(&mut self, instance: usize, column: ColumnId, maps: &[AxisMap]) -> FloatSources {
        let [exponent, sign] = self.float_parts.get(&column).copied().unwrap_or([column; 2]);
        [column, exponent, sign].map(|column| self.add_source(instance, Source::Column { column, maps: maps.to_vec() }))
    }

    /// An instance over a float output, with its operands read elementwise.
    fn frame(&mut self, output: ValueId, operands: &[&Operand]) -> Result<Frame, Signal> {
        let shape = self.program.values[output as usize].shape.clone();
        let base = operands.iter().filter_map(|o| o.value()).find(|&v| self.program.values[v as usize].shape == shape);
        let views: Vec<Option<View>> =
            operands.iter().map(|o| o.value().map(|v| self.view(v).cloned()).transpose()).collect::<Result<_, _>>()?;
        let column = match base {
            Some(base) => {
                let view = self.view(base)?.clone();
                for (operand, other) in operands.iter().zip(&views) {
                    if let (Some(value), Some(other)) = (operand.value(), other)
                        && value != base
                    {
                        self.unify(base, &view, value, other)?;
                    }
                }
                self.carried_output(output, &view)?.0
            }
            None => self.root_value(output).0,
        };
        let dims = self.column_dims(column).to_vec();
        let out_view = self.view(output)?.clone();
        let atoms = self.atom_sizes(&out_view);
        let instance = self.new_instance(dims.clone(), Vec::new());
        let mut sources = Vec::with_capacity(operands.len());
        for (operand, view) in operands.iter().zip(&views) {
            sources.push(match (operand, view) {
                (Operand::Value(value), Some(view)) => {
                    let own = self.program.values[*value as usize].shape.clone();
                    for axis in 0..shape.len() {
                        let sizes: Vec<u32> = self.axis_sizes(view, axis);
                        if own[axis] == shape[axis] && own[axis] > 1 && sizes != atoms[axis] {
                            return Err(Signal::Fail(self.reshape_error(*value)));
                        }
                    }
                    let maps =
                        self.read_maps(
                            view,
                            |axis, atom| {
                                if own[axis] == shape[axis] { out_view.axis(axis, atom) } else { None }
                            },
                        );
                    self.float_sources(instance, view.column, &maps)
                }
                (Operand::Constant { shape: own, data, .. }, _) => {
                    let (constant_dims, maps) = constant_layout(own, &shape, &atoms, &out_view);
                    let mut parts = [0u16; FLOAT_PARTS];
                    for (part, slot) in parts.iter_mut().enumerate() {
                        let cells = data.iter().map(|&v| from_i64(split(v)[part])).collect();
                        let column = self.new_constant(constant_dims.clone(), || cells);
                        *slot = self.add_source(instance, Source::Column { column, maps: maps.clone() });
                    }
                    parts
                }
                (Operand::Value(value), None) => return Err(Signal::Fail(self.reshape_error(*value))),
            });
        }
        let out = self.float_sources(instance, column, &same_maps(dims.len()));
        Ok(Frame { instance, operands: sources, out })
    }

    /// The frame of a running fold: operand 0 is the result one step before along the axis, operand 1 the input.
    fn running_frame(&mut self, output: ValueId, input: ValueId, axis: u8) -> Result<Frame, Signal> {
        // The axis in one piece, for this operation.
        let whole = self.whole_axes(input, |a| a == axis as usize)?;
        let own = self.views[input as usize].replace(whole);
        let frame = self.frame(output, &[&Operand::Value(input)]);
        self.views[input as usize] = own;
        let mut frame = frame?;
        let view = self.view(output)?.clone();
        self.keep_whole(&view, axis as usize);
        let column_axis = self.single_axis(output, &view, axis as usize)?;
        let mut maps = same_maps(self.column_dims(view.column).len());
        maps[column_axis as usize] = AxisMap::Strided { axis: column_axis, stride: 1, offset: -1 };
        let before = self.float_sources(frame.instance, view.column, &maps);
        frame.operands.insert(0, before);
        Ok(frame)
    }

    /// `y = table[x - lo]` with the three cells of each float.
    fn float_table(&mut self, output: ValueId, input: ValueId, table: &[u32]) -> Result<(), Signal> {
        let view = self.view(input)?.clone();
        let (column, own) = self.carried_output(output, &view)?;
        let dims = self.column_dims(column).to_vec();
        let maps = self.read_maps(&view, |axis, atom| own.axis(axis, atom));
        let instance = self.new_instance(dims.clone(), vec![Source::Column { column: view.column, maps }]);
        let out = self.float_sources(instance, column, &same_maps(dims.len()));
        let lo = i64::from(self.program.values[input as usize].quantisation.lo());
        // Inputs are shifted to 1.., so that the all-zero tuple of pads is no real row.
        let mut rows: Vec<Vec<i64>> = vec![(0..=table.len() as i64).collect()];
        for part in 0..FLOAT_PARTS {
            let cells = table.iter().map(|&bits| split(bits.cast_signed())[part]);
            rows.push(core::iter::once(0).chain(cells).collect());
        }
        let table = self.row_table(rows);
        let key = Expr { terms: vec![(1, 0)], constant: coefficient(1 - lo), index_coefficient: 0 };
        self.push_lookup(instance, table, vec![key, single(out[0]), single(out[1]), single(out[2])]);
        Ok(())
    }

    /// The value of a product of two column sources of an instance, as a source.
    fn times(&mut self, instance: usize, a: u16, b: u16) -> u16 {
        let factor = |this: &Self, source: u16| match &this.system.instances[instance].sources[source as usize] {
            Source::Column { column, maps } => crate::system::Factor { column: *column, maps: maps.clone() },
            // Only columns are multiplied; anything else would fail validation.
            _ => this.own_factor(0),
        };
        let (a, b) = (factor(self, a), factor(self, b));
        let dims = self.system.instances[instance].dims.clone();
        let source = self.product(dims, Vec::new(), a, b);
        self.add_source(instance, source)
    }

    /// Proves that a combination is zero.
    fn zero(&mut self, instance: usize, value: &Linear) {
        self.vanish(instance, value.expr(0));
    }

    /// Proves that a combination lies in `0..2^n` with `bits <= n <= max(bits, 50)`.
    fn non_negative(&mut self, instance: usize, value: &Linear, bits: u32) -> Limbs {
        let width = u32::from(self.widths.limb);
        let count = bits.div_ceil(width).max(1);
        let table = self.range_table(self.widths.limb);
        let mut top = value.clone();
        let mut columns = Vec::new();
        for i in 0..count - 1 {
            let (column, source) = self.hint_column(instance);
            self.push_lookup(instance, table, vec![single(source)]);
            top.terms.push((-(1i64 << (i * width)), source));
            columns.push(column);
        }
        let top_bits = if count * width <= 50 { width } else { bits - (count - 1) * width };
        let table = self.range_table(top_bits as u8);
        self.push_lookup(instance, table, vec![top.expr((count - 1) * width)]);
        Limbs { columns, bits: self.widths.limb }
    }

    /// Fresh hint columns over the domain, with their sources.
    fn hints<const N: usize>(&mut self, instance: usize) -> ([ColumnId; N], [u16; N]) {
        let pairs: [(ColumnId, u16); N] = core::array::from_fn(|_| self.hint_column(instance));
        (pairs.map(|p| p.0), pairs.map(|p| p.1))
    }

    fn float_step(&mut self, instance: usize, form: FloatForm) {
        self.plan.push(Step::Float(FloatStep { instance: instance as u32, form }));
    }
}

/// An elementwise float operation: its instance, operands and result.
struct Frame {
    instance: usize,
    operands: Vec<FloatSources>,
    out: FloatSources,
}

/// `table row` lookups start their key at this constant, so that no real key is zero as the pads' are.
const KEY: i64 = 1024;

/// A key expression shifted away from zero.
fn key(value: &Linear) -> Expr {
    value.clone().plus(KEY).expr(0)
}

/// Sources as a tuple behind a key.
fn keyed(value: &Linear, sources: &[u16]) -> Vec<Expr> {
    core::iter::once(key(value)).chain(sources.iter().map(|&s| expr(vec![(1, s)]))).collect()
}
