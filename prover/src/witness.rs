//! The witness: the cells of every column, and the source and tuple values of every lookup instance.

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{Step, ValuePart, split_float};
use vinfer_circuits::ops::ExtremumResult;
use vinfer_circuits::program::{Op, ValueId};
use vinfer_circuits::system::System;

mod float;
mod order;
mod requant;
mod rows;
mod view;

pub(crate) use order::real_positions;
use order::to_column_order;
pub(crate) use rows::RowIndex;
pub(crate) use view::{Positions, Reader};

use crate::execute::Execution;
use crate::keys::ProvingKey;

/// Column cells and contraction values of one execution.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Cells of each witness and public column, row-major over real indices; empty for constants.
    pub columns: Vec<Vec<F>>,
    /// The constraint system, bound to the public inputs that select rows of its tables.
    pub system: System,
    /// Values of contractions and summed products of each instance, `(source, row-major over the real domain)`.
    pub contractions: Vec<Vec<(u16, Vec<F>)>>,
}

/// Signed integer of a small field element.
fn to_i64(v: F) -> i64 {
    let v = v.as_canonical_u64();
    if v > vinfer_circuits::field::MODULUS / 2 { -((vinfer_circuits::field::MODULUS - v) as i64) } else { v as i64 }
}

impl Witness {
    /// Fills every column but the multiplicities from an execution.
    pub fn new(key: &ProvingKey, execution: &Execution) -> Self {
        let inputs: Vec<Vec<i32>> =
            key.proven().inputs.iter().map(|p| execution.trace[p.value as usize].clone()).collect();
        let whole = &key.lowered.system;
        // Inputs are in the range of their types, so the selection exists.
        let system = whole.select(&inputs).map_or_else(|| whole.clone(), std::borrow::Cow::into_owned);
        let mut witness = Self {
            columns: vec![Vec::new(); system.columns.len()],
            contractions: vec![Vec::new(); system.instances.len()],
            system,
        };
        for step in &key.lowered.plan {
            if let Step::Value { value, column, order, part } = step {
                let dims = &witness.system.columns[*column as usize].dims;
                let data = &execution.trace[*value as usize];
                witness.columns[*column as usize] = match part {
                    ValuePart::Integer => to_column_order(data, dims, order, |v| from_i64(i64::from(v))),
                    ValuePart::Float(part) => {
                        to_column_order(data, dims, order, |v| from_i64(split_float(v)[*part as usize]))
                    }
                };
            }
        }
        for step in &key.lowered.plan {
            match step {
                Step::Value { .. } => {}
                Step::Requant(step) => witness.fill_requant(key, execution, step),
                Step::Float(step) => witness.fill_float(key, step),
                Step::Extremum { op, extreme, marks, reduced, .. } => {
                    witness.fill_extremum(key, execution, (*op, *extreme, *marks, *reduced));
                }
                Step::Max { instance, column } => {
                    if let Some(column) = column {
                        witness.fill_maximum(key, *instance as usize, *column as usize);
                    }
                }
            }
        }
        for table in &witness.system.tables {
            let rows = witness.system.table_rows(&table.rows) as usize;
            witness.columns[table.multiplicity as usize] = vec![F::ZERO; rows];
        }
        witness
    }

    /// The larger one of the first two sources of an instance.
    fn fill_maximum(&mut self, key: &ProvingKey, instance: usize, column: usize) {
        let cells = self.system.columns[column].real_cells() as usize;
        self.columns[column] = vec![F::ZERO; cells];
        let reader = self.reader(key, instance, Positions::Real);
        let sources: Vec<Vec<F>> =
            (0..self.system.instances[instance].sources.len()).map(|source| reader.whole(source)).collect();
        // Lookup 0 holds (a - b, y - b); with y still zero the second is -b, so y = max(a - b, 0) - (-b).
        let tuple = &self.system.instances[instance].lookups[0].tuple;
        let [mut difference, mut rest] = [Vec::new(), Vec::new()];
        reader.combine(&tuple[0], &sources, 0..reader.outer, &mut difference);
        reader.combine(&tuple[1], &sources, 0..reader.outer, &mut rest);
        let y = difference.iter().zip(&rest).map(|(&d, &r)| from_i64(to_i64(d).max(0) - to_i64(r))).collect();
        self.columns[column] = y;
    }

    /// Marks from the extremum on (or up to it), and the extreme elements.
    fn fill_extremum(
        &mut self,
        key: &ProvingKey,
        execution: &Execution,
        (op, extreme, marks, reduced): (usize, Option<u32>, u32, u8),
    ) {
        let Op::Extremum(extremum) = &key.proven().ops[op] else { return };
        let Some((output, order)) = value_column(key, extremum.output) else { return };
        let values = &key.proven().values;
        let (input, result) = (&values[extremum.input as usize], &values[extremum.output as usize]);
        let found = extremum.find(&execution.trace[extremum.input as usize], input, result);
        let found = to_column_order(&found, &self.system.columns[output as usize].dims, order, |v| v);
        let dims = &self.system.columns[marks as usize].dims;
        let len = dims[reduced as usize];
        let inner: usize = dims[reduced as usize + 1..].iter().map(|&d| d as usize).product();
        let mut cells = vec![F::ZERO; found.len() * len as usize];
        for (at, cell) in cells.iter_mut().enumerate() {
            let position = (at / inner % len as usize) as u32;
            let (_, index) = found[at / (inner * len as usize) * inner + at % inner];
            let last = extremum.result == ExtremumResult::LastIndex;
            *cell = F::from_bool(if last { position <= index } else { position >= index });
        }
        self.columns[marks as usize] = cells;
        if let Some(extreme) = extreme {
            self.columns[extreme as usize] = found.iter().map(|&(v, _)| from_i64(i64::from(v))).collect();
        }
    }

    /// Cells of any column, constants included.
    pub(crate) fn cells<'a>(&'a self, key: &'a ProvingKey, column: u32) -> &'a [F] {
        let own = &self.columns[column as usize];
        if own.is_empty() { &key.constant_columns[column as usize] } else { own }
    }

    /// The sources of an instance.
    pub(crate) fn reader<'a>(&'a self, key: &'a ProvingKey, instance: usize, positions: Positions) -> Reader<'a> {
        let stored = |source: usize| {
            let own = self.contractions[instance].iter().find(|(s, _)| *s as usize == source);
            own.map(|(_, values)| values.as_slice())
        };
        let cells = |column: u32| self.cells(key, column);
        Reader::new(&self.system, &self.system.instances[instance], positions, cells, stored)
    }

    /// Values of all sources of an instance over its padded domain.
    pub(crate) fn sources(&self, key: &ProvingKey, instance: usize) -> Vec<Vec<F>> {
        let reader = self.reader(key, instance, Positions::Padded);
        (0..self.system.instances[instance].sources.len()).map(|source| reader.whole(source)).collect()
    }

    /// Values of one source of an instance over its padded domain.
    pub(crate) fn source(&self, key: &ProvingKey, instance: usize, source: usize) -> Vec<F> {
        self.reader(key, instance, Positions::Padded).whole(source)
    }
}

/// A value's own column (its copies come later in the plan), and its axes in logical order.
fn value_column(key: &ProvingKey, wanted: ValueId) -> Option<(u32, &[u8])> {
    key.lowered.plan.iter().find_map(|step| match step {
        Step::Value { value, column, order, .. } if *value == wanted => Some((*column, order.as_slice())),
        _ => None,
    })
}
