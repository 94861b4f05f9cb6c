//! Lowering of `Extremum`.
//!
//! `m` is the extreme element and `c_j = [j >= i]` marks the positions from its index `i` on (for the last index: up to
//! it). With `d_j = m - x_j` (negated for the least element) each position looks up `(o_j, c_j, d_j)` with
//! `o_j = c_j - c_(j-1)`: the rows are `(0, 0, d)` for `d >= 1` (before the first maximum), `(1, 1, 0)` (at it) and
//! `(0, 1, d)` for `d >= 0`. So `c` rises once, at the first element equal to `m`, and no element exceeds `m`. One more
//! lookup makes the last `c` one: the index exists.

use alloc::vec;
use alloc::vec::Vec;

use super::constants::{coefficient, expr, single};
use super::elementwise::domain_axes;
use super::views::Signal;
use super::{Lowering, Step, same_maps};
use crate::ops::{Extremum, ExtremumResult};
use crate::system::{AxisMap, Expr, Home, Source};

impl Lowering<'_> {
    pub(super) fn extremum(&mut self, op_index: usize, op: &Extremum) -> Result<(), Signal> {
        let axis = op.axis as usize;
        let view = self.whole_axes(op.input, |a| a == axis)?;
        let input = &self.program.values[op.input as usize];
        let span = i64::from(input.quantisation.hi()) - i64::from(input.quantisation.lo());
        let (column, mut atoms) = self.reduced_output(op.output, &view, |a| a == axis)?;
        atoms[axis] = vec![input.shape[axis]];
        let out_dims = self.column_dims(column).to_vec();
        let dims: Vec<u32> = atoms.iter().flatten().copied().collect();
        let axis_of = domain_axes(&atoms);
        let reduced = axis_of(axis, 0).unwrap_or(0);
        // Reads a column of the output's shape, or of the output's, over the whole domain.
        let broadcast: Vec<AxisMap> = (0..dims.len() as u8)
            .map(|a| if a == reduced { AxisMap::Sum } else { AxisMap::Same { axis: a } })
            .collect();
        let index = op.result != ExtremumResult::Value;
        let extreme = if index { self.new_column(Home::Witness, out_dims.clone()) } else { column };
        let marks = self.new_column(Home::Witness, dims.clone());
        // The neighbour before (for the last index: behind).
        let offset = if op.result == ExtremumResult::LastIndex { 1 } else { -1 };
        let mut neighbour = same_maps(dims.len());
        neighbour[reduced as usize] = AxisMap::Strided { axis: reduced, stride: 1, offset };
        let sources = vec![
            Source::Column { column: view.column, maps: self.read_maps(&view, &axis_of) },
            Source::Column { column: extreme, maps: broadcast },
            Source::Column { column: marks, maps: same_maps(dims.len()) },
            Source::Column { column: marks, maps: neighbour },
        ];
        // (o, c, d), with d shifted so that no difference of two elements makes it the all-zero tuple of pads.
        let shift = span + 1;
        let mut rows: Vec<Vec<i64>> = vec![vec![0], vec![0], vec![0]];
        let mut row = |o: i64, c: i64, d: i64| {
            for (column, v) in rows.iter_mut().zip([o, c, d + shift]) {
                column.push(v);
            }
        };
        row(1, 1, 0);
        (1..=span).for_each(|d| row(0, 0, d));
        (0..=span).for_each(|d| row(0, 1, d));
        let table = self.row_table(rows);
        let instance = self.new_instance(dims.clone(), sources);
        let sign = if op.least { -1 } else { 1 };
        let mut difference = expr(vec![(coefficient(sign), 1), (coefficient(-sign), 0)]);
        difference.constant = coefficient(shift);
        let rise = expr(vec![(1, 2), (coefficient(-1), 3)]);
        self.push_lookup(instance, table, vec![rise, single(2), difference]);

        // The last mark is one; the index is the number of marks away from the far end.
        let len = i64::from(self.program.values[op.input as usize].shape[axis]);
        let end = if op.result == ExtremumResult::LastIndex { 0 } else { len - 1 };
        let mut last = same_maps(dims.len());
        last[reduced as usize] = AxisMap::Strided { axis: reduced, stride: 1, offset: end as i32 };
        let mut count = same_maps(dims.len());
        count[reduced as usize] = AxisMap::Sum;
        let tail = self.new_instance(
            out_dims.clone(),
            vec![
                Source::Column { column: marks, maps: last },
                Source::Column { column: marks, maps: count },
                Source::Column { column, maps: same_maps(out_dims.len()) },
            ],
        );
        self.vanish(tail, Expr { terms: vec![(coefficient(-1), 0)], constant: 1, index_coefficient: 0 });
        if index {
            // First index: len - count; last index: count - 1.
            let (constant, slope) = if op.result == ExtremumResult::LastIndex { (-1, 1) } else { (len, -1) };
            let terms = vec![(coefficient(slope), 1), (coefficient(-1), 2)];
            self.vanish(tail, Expr { terms, constant: coefficient(constant), index_coefficient: 0 });
        }
        self.plan.push(Step::Extremum {
            op: op_index,
            extreme: index.then_some(extreme),
            marks,
            reduced,
            output: column,
        });
        Ok(())
    }
}
