//! Lowering of `MatMul` and `Multiply`: a product of two columns, then requantisation.

use alloc::vec;
use alloc::vec::Vec;

use super::elementwise::{Operands, domain_axes};
use super::requant::{Accumulator, AccumulatorSource};
use super::views::{Signal, View};
use super::{Lowering, same_maps};
use crate::ops::{MatMul, Multiply, Requant};
use crate::program::ValueId;
use crate::system::{AxisMap, Factor, Product, Source};

impl Lowering<'_> {
    /// A new product, as a source.
    pub(super) fn product(&mut self, dims: Vec<u32>, summed: Vec<u32>, a: Factor, b: Factor) -> Source {
        self.system.products.push(Product { dims, summed, a, b });
        Source::Product { product: (self.system.products.len() - 1) as u32 }
    }

    pub(super) fn matmul(&mut self, op_index: usize, op: &MatMul) -> Result<(), Signal> {
        let (a_view, b_view) = (self.view(op.a)?.clone(), self.view(op.b)?.clone());
        let rank = self.program.values[op.output as usize].shape.len();
        let (m, n) = (rank - 2, rank - 1);
        self.unify_axes((op.a, &a_view), (op.b, &b_view), (0..m).map(|axis| (axis, axis)))?;
        self.unify_axes((op.a, &a_view), (op.b, &b_view), [(n, m)].into_iter())?;
        let wide = |this: &Self, value: ValueId, axis: usize| {
            this.program.values[value as usize].shape[axis] == this.program.values[op.output as usize].shape[axis]
        };
        // Batch axes from whichever operand has them, rows from the left, columns from the right.
        let mut atoms = Vec::with_capacity(rank);
        for axis in 0..rank {
            let from_a = axis == m || (axis < m && wide(self, op.a, axis));
            atoms.push(self.carried(op.output, axis, if from_a { &a_view } else { &b_view }, axis)?);
        }
        let column = self.ordered_column(op.output, &atoms);
        let dims = self.column_dims(column).to_vec();
        let summed = self.axis_sizes(&a_view, n);
        let axis_of = domain_axes(&atoms);
        let sum_axis = |atom: usize| Some((dims.len() + atom) as u8);
        let a_maps = self.read_maps(&a_view, |axis, atom| match axis {
            _ if axis == n => sum_axis(atom),
            _ if axis == m || wide(self, op.a, axis) => axis_of(axis, atom),
            _ => None,
        });
        let b_maps = self.read_maps(&b_view, |axis, atom| match axis {
            _ if axis == m => sum_axis(atom),
            _ if axis == n || wide(self, op.b, axis) => axis_of(axis, atom),
            _ => None,
        });
        let (a, b) = (Factor { column: a_view.column, maps: a_maps }, Factor { column: b_view.column, maps: b_maps });
        let values = &self.program.values;
        let reachable = op.reachable(&values[op.a as usize], &values[op.b as usize]);
        self.requantise_product(op_index, op.output, (column, dims, summed), (a, b), &op.requant, reachable);
        Ok(())
    }

    pub(super) fn multiply(&mut self, op_index: usize, op: &Multiply) -> Result<(), Signal> {
        let Operands { column, a, b, b_range } = self.operands(op.output, op.a, &op.b)?;
        let dims = self.column_dims(column).to_vec();
        let reachable = op.reachable(&self.program.values[op.a as usize], (b_range.0.into(), b_range.1.into()));
        self.requantise_product(op_index, op.output, (column, dims, Vec::new()), (a, b), &op.requant, reachable);
        Ok(())
    }

    fn requantise_product(
        &mut self,
        op: usize,
        output: ValueId,
        (column, dims, summed): (u32, Vec<u32>, Vec<u32>),
        (mut a, mut b): (Factor, Factor),
        requant: &Requant,
        reachable: (i64, i64),
    ) {
        // Every axis must drive a factor. One that drives none (the axis of size one of an output without atoms) is read
        // from a column axis of size one that a factor sums over.
        for axis in 0..dims.len() as u8 {
            if a.maps.iter().chain(&b.maps).any(|m| m.axis() == Some(axis)) {
                continue;
            }
            let summed = [&mut a, &mut b].into_iter().find_map(|factor| {
                let sizes = self.column_dims(factor.column);
                factor.maps.iter_mut().zip(sizes).find(|(m, size)| **m == AxisMap::Sum && **size == 1)
            });
            if let Some((map, _)) = summed {
                *map = AxisMap::Same { axis };
            }
        }
        let range = &self.program.values[output as usize].quantisation;
        let range = (range.lo(), range.hi());
        let source = self.product(dims.clone(), summed, a, b);
        self.requantise(&Accumulator {
            op,
            positions: dims,
            output: column,
            output_axes: None,
            requant: core::slice::from_ref(requant),
            bias: &[0],
            reachable: vec![reachable],
            range,
            source: AccumulatorSource::Linear(vec![(1, source)]),
        });
    }

    /// Splits atoms until two operands agree on pairs of equal axes.
    pub(super) fn unify_axes(
        &self,
        (a, a_view): (ValueId, &View),
        (b, b_view): (ValueId, &View),
        pairs: impl Iterator<Item = (usize, usize)>,
    ) -> Result<(), Signal> {
        let (a_shape, b_shape) = (&self.program.values[a as usize].shape, &self.program.values[b as usize].shape);
        for (x, y) in pairs.filter(|&(x, y)| a_shape[x] == b_shape[y] && a_shape[x] > 1) {
            let real = |view: &View, axis: usize| -> Vec<(u8, u32)> {
                let sizes = self.axis_sizes(view, axis);
                view.axes[axis].iter().copied().zip(sizes).filter(|&(_, s)| s > 1).collect()
            };
            for (&(a_axis, p), &(b_axis, q)) in real(a_view, x).iter().zip(&real(b_view, y)) {
                if p > q {
                    return Err(self.split_axis(a_view.column, a_axis, q, a));
                }
                if q > p {
                    return Err(self.split_axis(b_view.column, b_axis, p, b));
                }
            }
            // Equal products: same number of atoms beyond size one. Atoms of size one could misalign them.
            if self.axis_sizes(a_view, x).contains(&1) || self.axis_sizes(b_view, y).contains(&1) {
                return Err(Signal::Fail(self.reshape_error(a)));
            }
        }
        Ok(())
    }

    /// Maps of a column stored over exactly the domain.
    pub(super) fn own_factor(&self, column: u32) -> Factor {
        Factor { column, maps: same_maps(self.column_dims(column).len()) }
    }
}
