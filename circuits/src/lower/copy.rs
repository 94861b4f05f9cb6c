//! Copies of whole tensors, where a view does not do: a reshape that regroups elements across axes, or an operation that
//! needs an axis in one piece. Element by element, `x - y` is the only row of the one-row table.

use alloc::vec;
use alloc::vec::Vec;

use super::constants::{coefficient, expr};
use super::views::{Signal, View};
use super::{Lowering, Step, ValuePart};
use crate::ops::row_major_strides;
use crate::program::ValueId;
use crate::system::{AxisMap, ColumnId, Home, IndexList, Source};

impl Lowering<'_> {
    /// The output of a reshape in a column of its own.
    pub(super) fn copy_reshaped(&mut self, input: ValueId, output: ValueId) -> Result<(), Signal> {
        let view = self.view(input)?.clone();
        let rank = self.program.values[output as usize].shape.len();
        let atoms: Vec<Vec<u32>> = (0..rank).map(|axis| self.atoms(output, axis)).collect();
        let order: Vec<usize> = (0..rank).collect();
        let column = self.own_column(output, &atoms, &order);
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
        let column = self.new_column(Home::Witness, dims.clone());
        let float = self.is_float(value);
        let mut columns = vec![column];
        if float {
            let parts = [self.new_column(Home::Witness, dims.clone()), self.new_column(Home::Witness, dims)];
            self.float_parts.insert(column, parts);
            columns.extend(parts);
        }
        for (part, column) in (0..).zip(columns) {
            let part = if float { ValuePart::Float(part) } else { ValuePart::Integer };
            self.plan.push(Step::Value { value, column, order: order.clone(), part });
        }
        self.copy_cells(value, &view, column);
        let axes = (0..view.axes.len() as u8).map(|axis| vec![axis]).collect();
        Ok(View { column, axes })
    }

    /// Equates the elements of a view, in logical order, with the cells of a column of the same value in row-major order.
    fn copy_cells(&mut self, value: ValueId, view: &View, column: ColumnId) {
        let dims = self.column_dims(view.column).to_vec();
        let strides = row_major_strides(&dims);
        let order = self.full_order(view);
        let count = self.program.values[value as usize].len() as u32;
        let in_order = order.iter().enumerate().all(|(at, &axis)| at == usize::from(axis));
        let list = if in_order {
            IndexList::Identity(count)
        } else {
            let mut cells = vec![0u32];
            for &axis in &order {
                let (size, stride) = (dims[axis as usize], strides[axis as usize] as u32);
                cells = cells.iter().flat_map(|&base| (0..size).map(move |i| base + i * stride)).collect();
            }
            IndexList::List(cells)
        };
        let from = AxisMap::Gather { axis: 0, span: dims.len() as u8, list };
        let span = self.column_dims(column).len() as u8;
        let to = AxisMap::Gather { axis: 0, span, list: IndexList::Identity(count) };
        let (x, y) = (self.value_columns(value, view.column), self.value_columns(value, column));
        let parts = x.len() as u16;
        let sources = x
            .into_iter()
            .map(|column| Source::Column { column, maps: vec![from.clone()] })
            .chain(y.into_iter().map(|column| Source::Column { column, maps: vec![to.clone()] }))
            .collect();
        let instance = self.new_instance(vec![count], sources);
        let table = self.range_table(0);
        for i in 0..parts {
            self.push_lookup(instance, table, vec![expr(vec![(1, i), (coefficient(-1), parts + i)])]);
        }
    }

    /// Marks an axis of a value's column as one piece: a reshape that would split it copies instead.
    pub(super) fn keep_whole(&mut self, column: ColumnId, axis: u8) {
        if let Some(slot) = self.column_atoms.get_mut(&column).and_then(|origins| origins.get_mut(axis as usize)) {
            *slot = None;
        }
    }
}
