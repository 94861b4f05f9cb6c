//! Lowering of `MaxPool`: one axis after the other, a chain of pairwise maxima.
//!
//! `y = max(a, b)` is one lookup: `(a - b, y - b)` is a row of the table `(d, max(d, 0))`. Taps that fall into the
//! padding read the smallest representable value, which never wins against a real element.

use alloc::vec;
use alloc::vec::Vec;

use super::constants::{coefficient, expr};
use super::views::{Signal, View, least_padded};
use super::{Lowering, Step, same_maps, signed_bits};
use crate::ops::{MaxPool, Window};
use crate::system::{AxisMap, ColumnId, Home, Source};

impl Lowering<'_> {
    pub(super) fn max_pool(&mut self, op: &MaxPool) -> Result<(), Signal> {
        let input = &self.program.values[op.input as usize];
        let output = &self.program.values[op.output as usize];
        let rank = output.shape.len();
        let windowed = |axis: usize| op.windows.iter().any(|w| w.axis as usize == axis);
        let mut view = self.whole_axes(op.input, windowed)?;
        let mut out_atoms = Vec::with_capacity(rank);
        for axis in 0..rank {
            out_atoms.push(if windowed(axis) {
                vec![output.shape[axis]]
            } else {
                self.carried(op.output, axis, &view, axis)?
            });
        }
        if op.windows.is_empty() {
            // Nothing to maximise over: the output is the input.
            self.views[op.output as usize] = Some(view);
            return Ok(());
        }
        let range = (i64::from(input.quantisation.lo()), i64::from(input.quantisation.hi()));
        for (step, window) in op.windows.iter().enumerate() {
            let last = step + 1 == op.windows.len();
            let axis = window.axis as usize;
            let mut atoms: Vec<Vec<u32>> = (0..rank).map(|a| self.axis_sizes(&view, a)).collect();
            atoms[axis] = vec![output.shape[axis]];
            view = self.max_along(&view, &atoms, window, range, last.then_some((op.output, &out_atoms)));
        }
        for window in &op.windows {
            self.keep_whole(&view, window.axis as usize);
        }
        Ok(())
    }

    /// Maximum along one axis; returns the view of the result.
    fn max_along(
        &mut self,
        view: &View,
        atoms: &[Vec<u32>],
        window: &Window,
        (low, high): (i64, i64),
        last: Option<(u32, &Vec<Vec<u32>>)>,
    ) -> View {
        let order = least_padded(atoms, (0..atoms.len()).collect());
        let mut dims = Vec::new();
        let mut axes = vec![Vec::new(); atoms.len()];
        for &axis in &order {
            for &size in &atoms[axis] {
                axes[axis].push(dims.len() as u8);
                dims.push(size);
            }
        }
        let axis = window.axis as usize;
        let size = self.axis_sizes(view, axis)[0];
        let domain_axis = axes[axis][0];
        let tap = |this: &Self, k: u32| {
            let offset = i64::from(k) * i64::from(window.dilation) - i64::from(window.pad_begin);
            let mut maps = this.read_maps(view, |a, atom| axes[a].get(atom).copied());
            maps[view.axes[axis][0] as usize] =
                AxisMap::Strided { axis: domain_axis, stride: window.stride, offset: offset as i32 };
            let source = Source::Column { column: view.column, maps };
            let outside =
                Source::OutsideWindow { axis: domain_axis, stride: window.stride, offset: offset as i32, size };
            (source, outside)
        };
        let taps: Vec<u32> = if window.kernel == 1 { vec![0, 0] } else { (0..window.kernel).collect() };
        let mut previous: Option<ColumnId> = None;
        for (position, &k) in taps.iter().enumerate().skip(1) {
            let done = position + 1 == taps.len();
            // Source 0: the running maximum; source 1: the next tap; then their padding indicators.
            let (a, a_outside) = match previous {
                Some(column) => (Source::Column { column, maps: same_maps(dims.len()) }, None),
                None => {
                    let (source, outside) = tap(self, taps[0]);
                    (source, Some(outside))
                }
            };
            let (b, b_outside) = tap(self, k);
            let result = match last {
                Some((value, out_atoms)) if done => self.own_column(value, out_atoms, &order),
                _ => self.new_column(Home::Witness, dims.clone()),
            };
            let y = Source::Column { column: result, maps: same_maps(dims.len()) };
            let mut sources = vec![a, b, y, b_outside];
            let mut difference = expr(vec![(1, 0), (coefficient(-1), 1), (coefficient(-low), 3)]);
            let rise = expr(vec![(1, 2), (coefficient(-1), 1), (coefficient(-low), 3)]);
            if let Some(outside) = a_outside {
                sources.push(outside);
                difference.terms.push((coefficient(low), 4));
            }
            let instance = self.new_instance(dims.clone(), sources);
            // Holds every difference of two elements.
            let span = high - low;
            let table = self.clamp_table(signed_bits(-span, span), 0, span as i32, 0);
            self.push_lookup(instance, table, vec![difference, rise]);
            let is_value = last.is_some() && done;
            let column = (!is_value).then_some(result);
            self.plan.push(Step::Max { instance: instance as u32, column });
            previous = Some(result);
        }
        View { column: previous.unwrap_or(view.column), axes }
    }
}
