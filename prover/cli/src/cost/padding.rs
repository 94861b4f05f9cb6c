//! Which operation owns which column, and which columns are mostly padding.

use vinfer_circuits::lower::{Lowered, Step};
use vinfer_circuits::system::{Home, TableRows};

use super::Cells;

/// The operation that alone looks a table up, per table.
pub(super) fn table_owners(lowered: &Lowered) -> Vec<Option<usize>> {
    let system = &lowered.system;
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); system.tables.len()];
    for (op, &(from, to)) in lowered.instances_of_op.iter().enumerate() {
        for lookup in system.instances.get(from..to).unwrap_or_default().iter().flat_map(|i| &i.lookups) {
            if let Some(users) = users.get_mut(lookup.table as usize)
                && users.last() != Some(&op)
            {
                users.push(op);
            }
        }
    }
    users.into_iter().map(|users| if let [op] = users.as_slice() { Some(*op) } else { None }).collect()
}

/// The operation that each column belongs to; none for inputs and for tables that several operations share.
pub(super) fn owners(lowered: &Lowered) -> Vec<Option<usize>> {
    let system = &lowered.system;
    let mut owners = vec![None; system.columns.len()];
    for (op, &(from, to)) in lowered.columns_of_op.iter().enumerate() {
        owners.get_mut(from..to).unwrap_or_default().fill(Some(op));
    }
    for (table, owner) in system.tables.iter().zip(table_owners(lowered)) {
        let columns: &[u32] = if let TableRows::Columns { columns } = &table.rows { columns } else { &[] };
        for &column in columns.iter().chain([&table.multiplicity]) {
            if let Some(slot) = owners.get_mut(column as usize) {
                *slot = owner;
            }
        }
    }
    owners
}

/// A committed column with its padding.
#[derive(Debug, Clone)]
pub(crate) struct PaddedColumn {
    /// Operation that it belongs to.
    pub(crate) op: Option<usize>,
    /// Where it is committed.
    pub(crate) home: Home,
    /// What it holds.
    pub(crate) role: &'static str,
    /// Axis sizes, outermost first.
    pub(crate) dims: Vec<u32>,
    /// Its cells.
    pub(crate) cells: Cells,
}

/// The columns with the most pad cells, most first; columns without any are left out.
pub(crate) fn most_padded(lowered: &Lowered, count: usize) -> Vec<PaddedColumn> {
    let system = &lowered.system;
    let mut roles = vec!["hint"; system.columns.len()];
    let mut name = |column: u32, role| {
        if let Some(slot) = roles.get_mut(column as usize) {
            *slot = role;
        }
    };
    for step in &lowered.plan {
        if let Step::Value { column, .. } = step {
            name(*column, "activations");
        }
    }
    system.contractions.iter().for_each(|c| name(c.weights, "weights"));
    for table in &system.tables {
        name(table.multiplicity, "table counts");
        if let TableRows::Columns { columns } = &table.rows {
            columns.iter().for_each(|&c| name(c, "table"));
        }
    }
    let all = system.columns.iter().zip(owners(lowered)).zip(roles);
    let mut columns: Vec<PaddedColumn> = all
        .filter(|((column, _), _)| column.home != Home::Public && column.padded_cells() > column.real_cells())
        .map(|((column, op), role)| PaddedColumn {
            op,
            home: column.home,
            role: if role == "hint" && column.home == Home::Constants { "constants" } else { role },
            dims: column.dims.clone(),
            cells: Cells { real: column.real_cells(), padded: column.padded_cells() },
        })
        .collect();
    columns.sort_by_key(|c| std::cmp::Reverse(c.cells.padded - c.cells.real));
    columns.truncate(count);
    columns
}
