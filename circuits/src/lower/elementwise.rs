//! Lowering of `Add`, `Sum` and `Lookup`.

use alloc::vec;
use alloc::vec::Vec;

use super::constants::{coefficient, expr, single};
use super::requant::{Accumulator, AccumulatorSource};
use super::views::{Signal, View, least_padded};
use super::{Lowering, same_maps};
use crate::field::from_i64;
use crate::ops::{Add, AddForm, Lookup, Operand, Requant, Sum};
use crate::program::ValueId;
use crate::system::{AxisMap, ColumnId, Expr, Factor, Source};

/// An elementwise operation: its output column, and what it reads over the cells of that column.
pub(super) struct Operands {
    pub(super) column: ColumnId,
    pub(super) a: Factor,
    pub(super) b: Factor,
    /// Range of the second operand.
    pub(super) b_range: (i32, i32),
}

impl Lowering<'_> {
    /// Output column with its axes carried over from `view` (axis `i` from axis `i`), in the order that pads least; how
    /// the output's atoms lie in it.
    pub(super) fn carried_output(&mut self, output: ValueId, view: &View) -> Result<(ColumnId, View), Signal> {
        let rank = self.program.values[output as usize].shape.len();
        let atoms = (0..rank).map(|axis| self.carried(output, axis, view, axis)).collect::<Result<Vec<_>, _>>()?;
        let column = self.own_column(output, &atoms, &least_padded(&atoms, (0..rank).collect()));
        Ok((column, self.view(output)?.clone()))
    }

    /// Output column in logical order, its axes carried over from `view` but the reduced ones, which have size one.
    pub(super) fn reduced_output(
        &mut self,
        output: ValueId,
        view: &View,
        reduced: impl Fn(usize) -> bool,
    ) -> Result<(ColumnId, Vec<Vec<u32>>), Signal> {
        let rank = self.program.values[output as usize].shape.len();
        let atoms = (0..rank)
            .map(|axis| if reduced(axis) { Ok(vec![1]) } else { self.carried(output, axis, view, axis) })
            .collect::<Result<Vec<_>, _>>()?;
        Ok((self.ordered_column(output, &atoms), atoms))
    }

    pub(super) fn lookup(&mut self, op: &Lookup) -> Result<(), Signal> {
        let view = self.view(op.input)?.clone();
        let (column, own) = self.carried_output(op.output, &view)?;
        let dims = self.column_dims(column).to_vec();
        let input =
            Source::Column { column: view.column, maps: self.read_maps(&view, |axis, atom| own.axis(axis, atom)) };
        let y = Source::Column { column, maps: same_maps(dims.len()) };
        let lo = i64::from(self.program.values[op.input as usize].quantisation.lo());
        // Inputs are shifted to 1.., so that the all-zero tuple of pads is no real row.
        let keys = (0..=op.table.len() as i64).collect();
        let results = core::iter::once(0).chain(op.table.iter().map(|&y| i64::from(y))).collect();
        let table = self.row_table(vec![keys, results]);
        let instance = self.new_instance(dims, vec![input, y]);
        let key = Expr { terms: vec![(1, 0)], constant: coefficient(1 - lo), index_coefficient: 0 };
        self.push_lookup(instance, table, vec![key, single(1)]);
        Ok(())
    }

    pub(super) fn sum(&mut self, op_index: usize, op: &Sum) -> Result<(), Signal> {
        let view = self.view(op.input)?.clone();
        let input = &self.program.values[op.input as usize];
        let output = &self.program.values[op.output as usize];
        let summed = |axis: usize| op.axes.contains(&(axis as u8));
        let (column, atoms) = self.reduced_output(op.output, &view, summed)?;
        let dims = self.column_dims(column).to_vec();
        let axis_of = domain_axes(&atoms);
        let maps = self.read_maps(&view, |axis, atom| if summed(axis) { None } else { axis_of(axis, atom) });
        self.requantise(&Accumulator {
            op: op_index,
            positions: dims,
            output: column,
            output_axes: None,
            requant: core::slice::from_ref(&op.requant),
            bias: &[0],
            reachable: vec![op.reachable(input)],
            range: (output.quantisation.lo(), output.quantisation.hi()),
            source: AccumulatorSource::Linear(vec![(1, Source::Column { column: view.column, maps })]),
        });
        Ok(())
    }

    pub(super) fn add(&mut self, op_index: usize, op: &Add) -> Result<(), Signal> {
        let Operands { column, a, b, b_range } = self.operands(op.output, op.a, &op.b)?;
        let dims = self.column_dims(column).to_vec();
        let [a_source, b_source] = [a, b].map(|f| Source::Column { column: f.column, maps: f.maps });
        let a_value = &self.program.values[op.a as usize];
        let a_range = (a_value.quantisation.lo(), a_value.quantisation.hi());
        let out = &self.program.values[op.output as usize].quantisation;
        match &op.form {
            AddForm::Line { multiplier_a, multiplier_b, offset, shift } => {
                // The accumulator is a*Ma + b*Mb with multiplier 1, requantised by LINE.
                let span = |m: i64, r: (i32, i32)| {
                    let (x, y) = (m * i64::from(r.0), m * i64::from(r.1));
                    (x.min(y), x.max(y))
                };
                let (sa, sb) = (span(*multiplier_a, a_range), span(*multiplier_b, b_range));
                let requant = Requant::Line { multiplier: 1, offset: *offset, shift: *shift };
                self.requantise(&Accumulator {
                    op: op_index,
                    positions: dims,
                    output: column,
                    output_axes: None,
                    requant: core::slice::from_ref(&requant),
                    bias: &[0],
                    reachable: vec![(sa.0 + sb.0, sa.1 + sb.1)],
                    range: (out.lo(), out.hi()),
                    source: AccumulatorSource::Linear(vec![(*multiplier_a, a_source), (*multiplier_b, b_source)]),
                });
            }
            AddForm::Exact { multiplier_a, multiplier_b, offset } => {
                let y = Source::Column { column, maps: same_maps(dims.len()) };
                let instance = self.new_instance(dims, vec![a_source, b_source, y]);
                let terms = [*multiplier_a, *multiplier_b, -1].into_iter().map(|c| coefficient(i64::from(c))).zip(0..);
                let mut difference = expr(terms.collect());
                difference.constant = coefficient(i64::from(*offset));
                self.vanish(instance, difference);
            }
            AddForm::Table { table } => {
                let width = i64::from(b_range.1 - b_range.0 + 1);
                let keys = (0..=table.len() as i64).collect();
                let results = core::iter::once(0).chain(table.iter().map(|&y| i64::from(y))).collect();
                let table = self.row_table(vec![keys, results]);
                let y = Source::Column { column, maps: same_maps(dims.len()) };
                let instance = self.new_instance(dims, vec![a_source, b_source, y]);
                let mut key = expr(vec![(coefficient(width), 0), (1, 1)]);
                key.constant = coefficient(1 - i64::from(a_range.0) * width - i64::from(b_range.0));
                self.push_lookup(instance, table, vec![key, single(2)]);
            }
        }
        Ok(())
    }

    /// The output column of an elementwise operation and its operands.
    pub(super) fn operands(&mut self, output: ValueId, a: ValueId, b: &Operand) -> Result<Operands, Signal> {
        let a_view = self.view(a)?.clone();
        if let Operand::Value(b) = b {
            let b_view = self.view(*b)?.clone();
            self.unify(a, &a_view, *b, &b_view)?;
        }
        let (column, own) = self.carried_output(output, &a_view)?;
        let a = Factor { column: a_view.column, maps: self.read_maps(&a_view, |axis, atom| own.axis(axis, atom)) };
        let (b, b_range) = self.second_operand(output, b, &own)?;
        Ok(Operands { column, a, b, b_range })
    }

    /// A second operand over the domain of the output's column, and its range.
    fn second_operand(
        &mut self,
        output: ValueId,
        operand: &Operand,
        own: &View,
    ) -> Result<(Factor, (i32, i32)), Signal> {
        let out_shape = self.program.values[output as usize].shape.clone();
        Ok(match operand {
            Operand::Value(b) => {
                let view = self.view(*b)?.clone();
                let value = &self.program.values[*b as usize];
                let wide = |axis: usize| value.shape[axis] == out_shape[axis];
                let maps = self.read_maps(&view, |axis, atom| if wide(axis) { own.axis(axis, atom) } else { None });
                (Factor { column: view.column, maps }, (value.quantisation.lo(), value.quantisation.hi()))
            }
            Operand::Constant { shape, data, lo, hi } => {
                let (dims, maps) = constant_layout(shape, &out_shape, &self.atom_sizes(own), own);
                let cells = data.clone();
                let id = self.new_constant(dims, || cells.iter().map(|&v| from_i64(i64::from(v))).collect());
                (Factor { column: id, maps }, (*lo, *hi))
            }
        })
    }

    /// Splits atoms until both operands agree on every axis they share.
    pub(super) fn unify(&self, a: ValueId, a_view: &View, b: ValueId, b_view: &View) -> Result<(), Signal> {
        let rank = self.program.values[a as usize].shape.len();
        self.unify_axes((a, a_view), (b, b_view), (0..rank).map(|axis| (axis, axis)))
    }
}

/// Dimensions of the column of a constant broadcast to `output`, and how the domain of the output's column reads it.
pub(super) fn constant_layout(
    shape: &[u32],
    output: &[u32],
    atoms: &[Vec<u32>],
    own: &View,
) -> (Vec<u32>, Vec<AxisMap>) {
    let (mut dims, mut maps) = (Vec::new(), Vec::new());
    for (axis, &size) in shape.iter().enumerate() {
        if size == output[axis] {
            for (atom, &s) in atoms[axis].iter().enumerate() {
                dims.push(s);
                maps.push(own.axis(axis, atom).map_or(AxisMap::Sum, |axis| AxisMap::Same { axis }));
            }
        } else {
            dims.push(1);
            maps.push(AxisMap::Sum);
        }
    }
    if dims.is_empty() {
        dims.push(1);
        maps.push(AxisMap::Sum);
    }
    (dims, maps)
}

/// Domain axis of (logical axis, atom) for a domain that lists all atoms in logical order.
pub(super) fn domain_axes(atoms: &[Vec<u32>]) -> impl Fn(usize, usize) -> Option<u8> + use<> {
    let mut starts = Vec::with_capacity(atoms.len());
    let mut next = 0usize;
    for a in atoms {
        starts.push((next, a.len()));
        next += a.len();
    }
    move |axis, atom| starts.get(axis).filter(|&&(_, n)| atom < n).map(|&(s, _)| (s + atom) as u8)
}
