//! Views: how a logical tensor maps onto the axes of a column.

use alloc::vec;
use alloc::vec::Vec;

use super::{AtomOrigin, LowerError, Lowering, Step, ValuePart};
use crate::ops::{Rewire, RewireKind};
use crate::program::ValueId;
use crate::system::{AxisMap, ColumnId, Home, Source, domain_len};

/// A logical tensor as column axes: for each logical axis, the column axes it consists of, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) column: ColumnId,
    pub(super) axes: Vec<Vec<u8>>,
}

impl View {
    /// Column axis of an atom of a logical axis.
    pub(super) fn axis(&self, axis: usize, atom: usize) -> Option<u8> {
        self.axes.get(axis)?.get(atom).copied()
    }
}

/// The logical axes in an order whose column pads least: a column's outermost axis alone is not padded to a power of
/// two. At most one axis is moved to the front of `order`.
pub(super) fn least_padded(atoms: &[Vec<u32>], order: Vec<usize>) -> Vec<usize> {
    let first = |outermost: usize| {
        core::iter::once(outermost).chain(order.iter().copied().filter(|&axis| axis != outermost)).collect::<Vec<_>>()
    };
    let cells = |order: &[usize]| {
        let dims: Vec<u32> = order.iter().flat_map(|&axis| &atoms[axis]).copied().collect();
        if dims.is_empty() { 1 } else { domain_len(&dims) }
    };
    let moved = order.iter().map(|&axis| first(axis)).min_by_key(|order| cells(order));
    moved.filter(|moved| cells(moved) < cells(&order)).unwrap_or(order)
}

/// Why a lowering pass stops.
pub(super) enum Signal {
    /// The axis of a value that owns its column must have these atoms; start again.
    Split { value: ValueId, axis: usize, atoms: Vec<u32> },
    /// It cannot be lowered.
    Fail(LowerError),
}

impl Lowering<'_> {
    pub(super) fn view(&self, value: ValueId) -> Result<&View, Signal> {
        self.views[value as usize].as_ref().ok_or_else(|| Signal::Fail(self.reshape_error(value)))
    }

    pub(super) fn reshape_error(&self, value: ValueId) -> LowerError {
        LowerError::Reshape { tensor: self.program.values[value as usize].name.clone() }
    }

    /// Atom sizes of one logical axis of a value that owns its column.
    pub(super) fn atoms(&self, value: ValueId, axis: usize) -> Vec<u32> {
        let size = self.program.values[value as usize].shape[axis];
        self.refinements.get(&(value, axis)).cloned().unwrap_or_else(|| vec![size])
    }

    pub(super) fn column_dims(&self, column: ColumnId) -> &[u32] {
        &self.system.columns[column as usize].dims
    }

    /// Sizes of the column axes behind one logical axis of a view.
    pub(super) fn axis_sizes(&self, view: &View, axis: usize) -> Vec<u32> {
        let dims = self.column_dims(view.column);
        view.axes[axis].iter().map(|&a| dims[a as usize]).collect()
    }

    /// Sizes of the column axes behind each logical axis of a view.
    pub(super) fn atom_sizes(&self, view: &View) -> Vec<Vec<u32>> {
        (0..view.axes.len()).map(|axis| self.axis_sizes(view, axis)).collect()
    }

    /// Column axes in row-major logical order; axes of size one that no logical axis names come last.
    pub(super) fn full_order(&self, view: &View) -> Vec<u8> {
        let mut order: Vec<u8> = view.axes.iter().flatten().copied().collect();
        for axis in 0..self.column_dims(view.column).len() as u8 {
            if !order.contains(&axis) {
                order.push(axis);
            }
        }
        order
    }

    /// Creates the column of a value that owns one, with the atoms of the logical axes in `axis_order`.
    pub(super) fn own_column(&mut self, value: ValueId, atoms: &[Vec<u32>], axis_order: &[usize]) -> ColumnId {
        let home = if self.public_roots[value as usize] { Home::Public } else { Home::Witness };
        let (mut dims, mut origins) = (Vec::new(), Vec::new());
        let mut axes = vec![Vec::new(); atoms.len()];
        for &axis in axis_order {
            for (atom, &size) in atoms[axis].iter().enumerate() {
                axes[axis].push(dims.len() as u8);
                dims.push(size);
                origins.push(Some((value, axis, atom)));
            }
        }
        if dims.is_empty() {
            dims.push(1);
            origins.push(None);
        }
        let mut order: Vec<u8> = axes.iter().flatten().copied().collect();
        if order.is_empty() {
            order.push(0);
        }
        let column = self.filled_column(value, home, dims, &order);
        self.column_atoms.insert(column, origins);
        self.views[value as usize] = Some(View { column, axes });
        column
    }

    /// [`Self::own_column`] with the axes in logical order.
    pub(super) fn ordered_column(&mut self, value: ValueId, atoms: &[Vec<u32>]) -> ColumnId {
        let order: Vec<usize> = (0..atoms.len()).collect();
        self.own_column(value, atoms, &order)
    }

    /// The column of a value whose axes come from no other value, in logical order, and its atoms.
    pub(super) fn root_value(&mut self, value: ValueId) -> (ColumnId, Vec<Vec<u32>>) {
        let rank = self.program.values[value as usize].shape.len();
        let atoms: Vec<Vec<u32>> = (0..rank).map(|axis| self.atoms(value, axis)).collect();
        (self.ordered_column(value, &atoms), atoms)
    }

    /// A new column (three, for a float) that the prover fills with a value of the trace; `order` lists the column axes
    /// in logical order.
    pub(super) fn filled_column(&mut self, value: ValueId, home: Home, dims: Vec<u32>, order: &[u8]) -> ColumnId {
        let column = self.new_column(home, dims.clone());
        let float = self.is_float(value);
        if float {
            let parts = [self.new_column(home, dims.clone()), self.new_column(home, dims)];
            self.float_parts.insert(column, parts);
        }
        for (part, column) in (0..).zip(self.value_columns(value, column)) {
            let part = if float { ValuePart::Float(part) } else { ValuePart::Integer };
            self.plan.push(Step::Value { value, column, order: order.to_vec(), part });
        }
        column
    }

    /// Columns of a value: one for integers, three for floats.
    fn value_columns(&self, value: ValueId, column: ColumnId) -> Vec<ColumnId> {
        if self.is_float(value) {
            self.float_parts.get(&column).map_or_else(|| vec![column], |parts| [[column].as_slice(), parts].concat())
        } else {
            vec![column]
        }
    }

    /// The columns of a value as sources, read by the same maps.
    pub(super) fn value_sources(&self, value: ValueId, column: ColumnId, maps: &[AxisMap]) -> Vec<Source> {
        let columns = self.value_columns(value, column).into_iter();
        columns.map(|column| Source::Column { column, maps: maps.to_vec() }).collect()
    }

    /// The one column axis behind a logical axis of [`Self::whole_axes`].
    pub(super) fn single_axis(&self, value: ValueId, view: &View, axis: usize) -> Result<u8, Signal> {
        match view.axes[axis].as_slice() {
            &[column_axis] => Ok(column_axis),
            _ => Err(Signal::Fail(LowerError::Shape { tensor: self.program.values[value as usize].name.clone() })),
        }
    }

    /// Asks for the split of a column axis into `outer` times the rest.
    pub(super) fn split_axis(&self, column: ColumnId, axis: u8, outer: u32, value: ValueId) -> Signal {
        let size = self.column_dims(column)[axis as usize];
        let origins = self.column_atoms.get(&column).map_or(&[][..], Vec::as_slice);
        match origins.get(axis as usize).copied().flatten() {
            Some((value, logical, atom)) if outer > 1 && outer < size && size.is_multiple_of(outer) => {
                // The atoms that the axis has now (they may be carried over from an input), with this one split.
                let own = |o: &Option<AtomOrigin>| o.is_some_and(|(_, l, _)| l == logical);
                let mut atoms: Vec<u32> =
                    origins.iter().zip(self.column_dims(column)).filter(|(o, _)| own(o)).map(|(_, &d)| d).collect();
                atoms.splice(atom..=atom, [outer, size / outer]);
                Signal::Split { value, axis: logical, atoms }
            }
            _ => Signal::Fail(self.reshape_error(value)),
        }
    }

    /// The atoms that an output axis carries over from an input axis. If a reshape of the output needs a finer split
    /// than the input has, the input is split.
    pub(super) fn carried(&self, output: ValueId, axis: usize, input: &View, from: usize) -> Result<Vec<u32>, Signal> {
        let have = self.axis_sizes(input, from);
        let Some(want) = self.refinements.get(&(output, axis)) else { return Ok(have) };
        // Both factor the same size; the input's atoms may be finer than what the output needs.
        let mut want = want.iter().copied().filter(|&w| w > 1);
        let mut rest = 1;
        for (position, &size) in have.iter().enumerate().filter(|&(_, &s)| s > 1) {
            if rest == 1 {
                rest = want.next().unwrap_or(1);
            }
            if rest % size == 0 {
                rest /= size;
            } else if size % rest == 0 {
                return Err(self.split_axis(input.column, input.axes[from][position], rest, output));
            } else {
                return Err(Signal::Fail(self.reshape_error(output)));
            }
        }
        Ok(have)
    }

    /// Maps for reading a view from a domain: `domain_axis(logical axis, atom)` names the domain axis, if any.
    pub(super) fn read_maps(&self, view: &View, domain_axis: impl Fn(usize, usize) -> Option<u8>) -> Vec<AxisMap> {
        let mut maps = vec![AxisMap::Sum; self.column_dims(view.column).len()];
        for (axis, atoms) in view.axes.iter().enumerate() {
            for (atom, &column_axis) in atoms.iter().enumerate() {
                if let Some(domain) = domain_axis(axis, atom) {
                    maps[column_axis as usize] = AxisMap::Same { axis: domain };
                }
            }
        }
        maps
    }

    pub(super) fn rewire(&mut self, op: &Rewire) -> Result<(), Signal> {
        let view = self.view(op.input)?.clone();
        let axes = match &op.kind {
            RewireKind::Transpose { permutation } => {
                permutation.iter().map(|&from| view.axes[from as usize].clone()).collect()
            }
            RewireKind::Reshape => match self.regroup(&view, op.output) {
                // No split of axes expresses it: the elements are copied to a column of their own.
                Err(Signal::Fail(_)) => return self.copy_reshaped(op.input, op.output),
                axes => axes?,
            },
        };
        self.views[op.output as usize] = Some(View { column: view.column, axes });
        Ok(())
    }

    /// Distributes the atoms of a view over the logical axes of a reshaped value.
    fn regroup(&self, view: &View, output: ValueId) -> Result<Vec<Vec<u8>>, Signal> {
        let dims = self.column_dims(view.column);
        let flat: Vec<u8> = view.axes.iter().flatten().copied().collect();
        let mut next = 0usize;
        let mut axes = Vec::new();
        for &size in &self.program.values[output as usize].shape {
            let mut group = Vec::new();
            let mut product = 1u64;
            while product < u64::from(size) {
                let Some(&axis) = flat.get(next) else { return Err(Signal::Fail(self.reshape_error(output))) };
                let atom = u64::from(dims[axis as usize]);
                if atom == 1 {
                    // No longer named by an axis; reads sum over it.
                    next += 1;
                    continue;
                }
                if product * atom > u64::from(size) {
                    let rest = u64::from(size) / product;
                    if u64::from(size) % product != 0 {
                        return Err(Signal::Fail(self.reshape_error(output)));
                    }
                    return Err(self.split_axis(view.column, axis, rest as u32, output));
                }
                product *= atom;
                group.push(axis);
                next += 1;
            }
            if product != u64::from(size) {
                return Err(Signal::Fail(self.reshape_error(output)));
            }
            // An axis of size one takes over an atom of size one, if that is next.
            if size == 1 && flat.get(next).is_some_and(|&a| dims[a as usize] == 1) {
                group.push(flat[next]);
                next += 1;
            }
            axes.push(group);
        }
        if flat[next..].iter().any(|&a| dims[a as usize] != 1) {
            return Err(Signal::Fail(self.reshape_error(output)));
        }
        Ok(axes)
    }
}
