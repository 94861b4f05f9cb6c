//! Copies of whole tensors, where a view does not do: a reshape that regroups elements across axes, or an operation that
//! needs an axis in one piece. The copy equals the original, element by element.

use alloc::vec;
use alloc::vec::Vec;

use super::Lowering;
use super::views::{Signal, View};
use crate::ops::row_major_strides;
use crate::program::ValueId;
use crate::system::{AxisMap, ColumnId, Home, IndexList, domain_len};

impl Lowering<'_> {
    /// The output of a reshape in a column of its own.
    pub(super) fn copy_reshaped(&mut self, input: ValueId, output: ValueId) -> Result<(), Signal> {
        let view = self.view(input)?.clone();
        let (column, _) = self.root_value(output);
        self.copy_cells(input, &view, column);
        Ok(())
    }

    /// A view of a value with one column axis per logical axis, in logical order: its own if it is one.
    pub(super) fn whole_axes(&mut self, value: ValueId, needed: impl Fn(usize) -> bool) -> Result<View, Signal> {
        let view = self.view(value)?.clone();
        if (0..view.axes.len()).all(|axis| !needed(axis) || view.axes[axis].len() == 1) {
            return Ok(view);
        }
        let mut dims = self.program.values[value as usize].shape.clone();
        if dims.is_empty() {
            dims.push(1);
        }
        let order: Vec<u8> = (0..dims.len() as u8).collect();
        let column = self.filled_column(value, Home::Witness, dims, &order);
        self.copy_cells(value, &view, column);
        let axes = (0..view.axes.len() as u8).map(|axis| vec![axis]).collect();
        Ok(View { column, axes })
    }

    /// Equates the elements of a view, in logical order, with the cells of a column of the same value in row-major order.
    fn copy_cells(&mut self, value: ValueId, view: &View, column: ColumnId) {
        let dims = self.column_dims(view.column).to_vec();
        let order = self.full_order(view);
        let own = self.column_dims(column).to_vec();
        // An outermost axis that both columns have (often the samples of a batch) stays an axis, so that the list is as
        // long as one sample.
        let shared = match (view.axes.first().map(Vec::as_slice), order.first(), own.first()) {
            (Some(&[0]), Some(0), Some(&size)) if own.len() > 1 && dims.len() > 1 && size > 1 => dims[0] == size,
            _ => false,
        };
        let skipped = usize::from(shared);
        let (inner, strides) = (&dims[skipped..], row_major_strides(&dims));
        let count: u32 = inner.iter().product();
        let in_order = order.iter().enumerate().all(|(at, &axis)| at == usize::from(axis));
        let list = if in_order {
            IndexList::Identity(count)
        } else {
            let mut cells = vec![0u32];
            for &axis in &order[skipped..] {
                let (size, stride) = (dims[axis as usize], strides[axis as usize] as u32);
                cells = cells.iter().flat_map(|&base| (0..size).map(move |i| base + i * stride)).collect();
            }
            IndexList::List(cells)
        };
        // Outermost is what pads more.
        let (domain, outer) = match shared {
            false => (vec![count], 0),
            true if domain_len(&[dims[0], count]) < domain_len(&[count, dims[0]]) => (vec![dims[0], count], 1),
            true => (vec![count, dims[0]], 0),
        };
        let mut from = vec![AxisMap::Same { axis: 1 - outer }; skipped];
        let mut to = from.clone();
        from.push(AxisMap::Gather { axis: outer, span: inner.len() as u8, list });
        to.push(AxisMap::Gather { axis: outer, span: (own.len() - skipped) as u8, list: IndexList::Identity(count) });
        let (x, y) = (self.value_sources(value, view.column, &from), self.value_sources(value, column, &to));
        self.equate(domain, x, y);
    }

    /// Marks a logical axis of a value's own view as one piece: a reshape that would split it copies instead.
    pub(super) fn keep_whole(&mut self, view: &View, axis: usize) {
        let Some(origins) = self.column_atoms.get_mut(&view.column) else { return };
        for &column_axis in &view.axes[axis] {
            if let Some(slot) = origins.get_mut(column_axis as usize) {
                *slot = None;
            }
        }
    }
}
