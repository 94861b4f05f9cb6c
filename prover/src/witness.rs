//! The witness: the cells of every column, and the source and tuple values of every lookup instance.

use std::collections::HashMap;

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::functional::strided;
use vinfer_circuits::lower::{RequantForm, RequantStep, Step, ValuePart, split_float};
use vinfer_circuits::ops::ExtremumResult;
use vinfer_circuits::program::{Op, ValueId};
use vinfer_circuits::system::{AxisMap, Expr, Instance, Source, System, TableRows, domain_bits, domain_len};

mod float;

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

/// Permutes logical row-major data into the order of a column: `order` lists the column axes in logical order.
fn to_column_order<T: Copy>(data: &[T], dims: &[u32], order: &[u8]) -> Vec<T> {
    let mut strides = vec![0usize; dims.len()];
    let mut stride = 1usize;
    for &axis in order.iter().rev() {
        strides[axis as usize] = stride;
        stride *= dims[axis as usize] as usize;
    }
    let mut offsets = vec![0usize];
    for (&d, &s) in dims.iter().zip(&strides) {
        offsets = offsets.iter().flat_map(|&base| (0..d as usize).map(move |i| base + i * s)).collect();
    }
    offsets.into_iter().map(|at| data[at]).collect()
}

impl Witness {
    /// Fills every column but the multiplicities from an execution.
    pub fn new(key: &ProvingKey, execution: &Execution) -> Self {
        let inputs: Vec<Vec<i32>> =
            key.program.inputs.iter().map(|p| execution.trace[p.value as usize].clone()).collect();
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
                let cells = to_column_order(&execution.trace[*value as usize], dims, order);
                let cell = |v: i32| match part {
                    ValuePart::Integer => i64::from(v),
                    ValuePart::Float(part) => split_float(v)[*part as usize],
                };
                witness.columns[*column as usize] = cells.into_iter().map(|v| from_i64(cell(v))).collect();
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
                        let inst = &witness.system.instances[*instance as usize];
                        let cells = witness.system.columns[*column as usize].real_cells() as usize;
                        witness.columns[*column as usize] = vec![F::ZERO; cells];
                        let sources = witness.sources(key, *instance as usize);
                        // Lookup 0 holds (a - b, y - b); with y still zero the second is -b, so y = max(a - b, 0) - (-b).
                        let tuple = &inst.lookups[0].tuple;
                        let difference = combine(inst, &tuple[0], &sources);
                        let rest = combine(inst, &tuple[1], &sources);
                        let y = difference.iter().zip(&rest).map(|(&d, &r)| from_i64(to_i64(d).max(0) - to_i64(r)));
                        witness.columns[*column as usize] = unpad(&inst.dims, &y.collect::<Vec<_>>());
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

    /// Marks from the extremum on (or up to it), and the extreme elements.
    fn fill_extremum(
        &mut self,
        key: &ProvingKey,
        execution: &Execution,
        (op, extreme, marks, reduced): (usize, Option<u32>, u32, u8),
    ) {
        let Op::Extremum(extremum) = &key.program.ops[op] else { return };
        let Some((output, order)) = value_column(key, extremum.output) else { return };
        let values = &key.program.values;
        let (input, result) = (&values[extremum.input as usize], &values[extremum.output as usize]);
        let found = extremum.find(&execution.trace[extremum.input as usize], input, result);
        let found = to_column_order(&found, &self.system.columns[output as usize].dims, order);
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

    fn fill_requant(&mut self, key: &ProvingKey, execution: &Execution, step: &RequantStep) {
        let instance = &key.lowered.system.instances[step.instance as usize];
        let system = &key.lowered.system;
        let op = &key.program.ops[step.op];
        let Some((column, order)) = value_column(key, op.output()) else { return };
        let accumulators =
            to_column_order(&execution.accumulators[step.op], &system.columns[column as usize].dims, order);
        let biases: &[i64] = if let Op::Contract(c) = op { &c.bias } else { &[] };
        let positions = if step.channels.is_empty() {
            accumulators.len()
        } else {
            instance.dims[1..].iter().map(|&d| d as usize).product()
        };
        // (accumulator, bias, index of the channel in the block) of every domain position.
        let channels: Vec<u32> = if step.channels.is_empty() { vec![0] } else { step.channels.clone() };
        let cells = channels.iter().enumerate().flat_map(|(index, &ch)| {
            let bias = biases.get(ch as usize).copied().unwrap_or(0);
            let start = ch as usize * positions;
            accumulators[start..start + positions].iter().map(move |&acc| (acc, bias, index))
        });
        let contraction_sources: Vec<u16> = instance
            .sources
            .iter()
            .enumerate()
            .filter(|(_, s)| matches!(s, Source::Contraction { .. } | Source::Product { .. }))
            .map(|(i, _)| i as u16)
            .collect();
        let mut scaled = Vec::new();
        match &step.form {
            RequantForm::Line { multipliers, offsets, limbs, limb_bits } => {
                let mut out: Vec<Vec<F>> = vec![Vec::new(); limbs.len()];
                for (acc, bias, index) in cells {
                    let product = (acc - bias) * multipliers[index];
                    scaled.push(from_i64(product));
                    push_limbs(&mut out, product + offsets[index], *limb_bits);
                }
                self.store(limbs, out);
            }
            RequantForm::Parity { multipliers, offsets, odd_deltas, shift, parity, limbs, slack, limb_bits } => {
                let mut out: Vec<Vec<F>> = vec![Vec::new(); limbs.len()];
                let (mut parities, mut odd, mut slacks) = (Vec::new(), Vec::new(), Vec::new());
                let low = usize::from(*limb_bits) * limbs.len().saturating_sub(2);
                for (acc, bias, index) in cells {
                    let product = (acc - bias) * multipliers[index];
                    scaled.push(from_i64(product));
                    let even = product + offsets[index];
                    let cell = even & ((1i64 << (shift + 1)) - 1);
                    let s = i64::from(cell >= (1i64 << shift) - odd_deltas[index]);
                    let remainder = cell + s * odd_deltas[index] - (s << shift);
                    let bound = (1i64 << shift) + (2 * s - 1) * odd_deltas[index];
                    let room = (bound >> low) - 1 - (remainder >> low);
                    slacks.push(F::from_u64((room & ((1 << limb_bits) - 1)) as u64));
                    push_limbs(&mut out, remainder, *limb_bits);
                    parities.push(F::from_u64(s as u64));
                    odd.push(from_i64(s * odd_deltas[index]));
                }
                self.store(limbs, out);
                self.columns[*parity as usize] = parities;
                if let Some(slack) = slack {
                    self.columns[*slack as usize] = slacks;
                }
                if let Some(&source) = contraction_sources.get(1) {
                    self.contractions[step.instance as usize].push((source, odd));
                }
            }
            RequantForm::Exact => scaled.extend(cells.map(|(acc, bias, _)| from_i64(acc - bias))),
            RequantForm::Table { starts, lower, upper } => {
                let (mut low, mut high) = (Vec::new(), Vec::new());
                for (acc, bias, index) in cells {
                    scaled.push(from_i64(acc - bias));
                    let starts = &starts[index];
                    let at = starts.partition_point(|&t| t <= acc).clamp(1, starts.len() - 1);
                    low.push(from_i64(starts[at - 1]));
                    high.push(from_i64(starts[at]));
                }
                self.columns[*lower as usize] = low;
                self.columns[*upper as usize] = high;
            }
        }
        if let Some(&source) = contraction_sources.first() {
            // A product enters unscaled; the expressions carry its multiplier.
            if let Source::Product { .. } = instance.sources[source as usize] {
                scaled = accumulators.iter().map(|&acc| from_i64(acc)).collect();
            }
            self.contractions[step.instance as usize].push((source, scaled));
        }
    }

    fn store(&mut self, columns: &[u32], cells: Vec<Vec<F>>) {
        for (&column, cells) in columns.iter().zip(cells) {
            self.columns[column as usize] = cells;
        }
    }

    /// Cells of any column, constants included.
    pub(crate) fn cells<'a>(&'a self, key: &'a ProvingKey, column: u32) -> &'a [F] {
        let own = &self.columns[column as usize];
        if own.is_empty() { &key.constant_columns[column as usize] } else { own }
    }

    /// Values of all sources of an instance over its padded domain.
    pub(crate) fn sources(&self, key: &ProvingKey, instance: usize) -> Vec<Vec<F>> {
        (0..self.system.instances[instance].sources.len()).map(|source| self.source(key, instance, source)).collect()
    }

    /// Values of one source of an instance over its padded domain.
    pub(crate) fn source(&self, key: &ProvingKey, instance: usize, source: usize) -> Vec<F> {
        let system = &self.system;
        let inst = &system.instances[instance];
        let read = |column: u32, maps: &[AxisMap]| column_values(system, inst, column, maps, self.cells(key, column));
        let stored = || self.contractions[instance].iter().find(|(s, _)| *s as usize == source);
        match &inst.sources[source] {
            Source::Column { column, maps } => read(*column, maps),
            Source::Product { product } => {
                let p = &system.products[*product as usize];
                match stored() {
                    Some((_, values)) => pad(&inst.dims, values),
                    None if p.summed.is_empty() => {
                        let (a, b) = (read(p.a.column, &p.a.maps), read(p.b.column, &p.b.maps));
                        a.into_iter().zip(b).map(|(x, y)| x * y).collect()
                    }
                    None => vec![F::ZERO; domain_len(&inst.dims) as usize],
                }
            }
            Source::Contraction { .. } => {
                stored().map_or_else(|| vec![F::ZERO; domain_len(&inst.dims) as usize], |(_, v)| pad(&inst.dims, v))
            }
            Source::OutsideWindow { axis, stride, offset, size } => {
                let outside = |i: u32| strided(i, *stride, i64::from(*offset), *size).is_none();
                let dims: Vec<usize> = inst.dims.iter().map(|&d| d as usize).collect();
                let inner: usize = dims[*axis as usize + 1..].iter().product();
                let total: usize = dims.iter().product();
                let values: Vec<F> =
                    (0..total).map(|at| F::from_bool(outside((at / inner % dims[*axis as usize]) as u32))).collect();
                pad(&inst.dims, &values)
            }
        }
    }
}

/// A value's own column (its copies come later in the plan), and its axes in logical order.
fn value_column(key: &ProvingKey, wanted: ValueId) -> Option<(u32, &[u8])> {
    key.lowered.plan.iter().find_map(|step| match step {
        Step::Value { value, column, order, .. } if *value == wanted => Some((*column, order.as_slice())),
        _ => None,
    })
}

fn push_limbs(out: &mut [Vec<F>], value: i64, limb_bits: u8) {
    for (i, limb) in out.iter_mut().enumerate() {
        limb.push(F::from_u64(((value >> (i * limb_bits as usize)) & ((1 << limb_bits) - 1)) as u64));
    }
}

/// Padded position of each real domain index, row-major.
pub(crate) fn real_positions(dims: &[u32]) -> Vec<usize> {
    let mut positions = vec![0usize];
    for &d in dims {
        let bits = domain_bits(&[d]);
        positions = positions.iter().flat_map(|&base| (0..d as usize).map(move |i| (base << bits) + i)).collect();
    }
    positions
}

fn pad(dims: &[u32], real: &[F]) -> Vec<F> {
    let mut padded = vec![F::ZERO; domain_len(dims) as usize];
    for (at, &v) in real_positions(dims).into_iter().zip(real) {
        padded[at] = v;
    }
    padded
}

fn unpad(dims: &[u32], padded: &[F]) -> Vec<F> {
    real_positions(dims).into_iter().map(|at| padded[at]).collect()
}

/// Values of a column source over the padded domain.
fn column_values(system: &System, instance: &Instance, column: u32, maps: &[AxisMap], cells: &[F]) -> Vec<F> {
    let dims = &system.columns[column as usize].dims;
    let mut strides = vec![1usize; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1] as usize;
    }
    // Offset contributed by each index of each domain axis; None where nothing is read.
    let mut offsets: Vec<Vec<Option<usize>>> = instance.dims.iter().map(|&d| vec![Some(0); d as usize]).collect();
    let mut summed: Vec<(usize, usize)> = Vec::new();
    let mut axis_at = 0usize;
    for map in maps {
        match map {
            AxisMap::Same { axis } => {
                for (i, o) in offsets[*axis as usize].iter_mut().enumerate() {
                    *o = Some(i * strides[axis_at]);
                }
                axis_at += 1;
            }
            AxisMap::Gather { axis, span, list } => {
                let inner = strides[axis_at + *span as usize - 1];
                for (o, i) in offsets[*axis as usize].iter_mut().zip(list.iter()) {
                    *o = Some(i as usize * inner);
                }
                axis_at += *span as usize;
            }
            AxisMap::Strided { axis, stride, offset } => {
                for (i, o) in offsets[*axis as usize].iter_mut().enumerate() {
                    *o = strided(i as u32, *stride, i64::from(*offset), dims[axis_at])
                        .map(|x| x as usize * strides[axis_at]);
                }
                axis_at += 1;
            }
            // A selected axis has become a gather.
            AxisMap::Sum | AxisMap::Selected { .. } => {
                summed.push((dims[axis_at] as usize, strides[axis_at]));
                axis_at += 1;
            }
        }
    }
    let mut terms = vec![0usize];
    for (size, stride) in summed {
        terms = terms.iter().flat_map(|&base| (0..size).map(move |i| base + i * stride)).collect();
    }
    let mut bases: Vec<Option<usize>> = vec![Some(0)];
    for axis in &offsets {
        bases = bases.iter().flat_map(|&base| axis.iter().map(move |o| Some(base? + (*o)?))).collect();
    }
    let value = |base: Option<usize>| match base {
        None => F::ZERO,
        Some(base) if terms.len() == 1 => cells[base],
        Some(base) => terms.iter().map(|&t| cells[base + t]).sum(),
    };
    let mut padded = vec![F::ZERO; domain_len(&instance.dims) as usize];
    for (at, base) in real_positions(&instance.dims).into_iter().zip(bases) {
        padded[at] = value(base);
    }
    padded
}

/// Values of an expression over the padded domain.
pub(crate) fn combine(instance: &Instance, expr: &Expr, sources: &[Vec<F>]) -> Vec<F> {
    let mut out = vec![F::ZERO; domain_len(&instance.dims) as usize];
    for &(coefficient, source) in &expr.terms {
        let values = &sources[source as usize];
        if coefficient == 1 {
            for (o, &v) in out.iter_mut().zip(values) {
                *o += v;
            }
        } else {
            let c = F::from_u64(coefficient);
            for (o, &v) in out.iter_mut().zip(values) {
                *o += c * v;
            }
        }
    }
    if expr.constant != 0 || expr.index_coefficient != 0 {
        let (constant, slope) = (F::from_u64(expr.constant), F::from_u64(expr.index_coefficient));
        let inner = domain_bits(&instance.dims[1..]);
        for at in real_positions(&instance.dims) {
            out[at] += constant + slope * F::from_u64((at >> inner) as u64);
        }
    }
    out
}

/// Finds the row of a tuple in a table.
pub(crate) enum RowIndex {
    /// The first component minus this is the row.
    Offset(F, usize),
    /// Explicit rows.
    Map(HashMap<Vec<u64>, usize>),
}

impl RowIndex {
    pub(crate) fn new(key: &ProvingKey, rows: &TableRows) -> Self {
        match rows {
            TableRows::Range { bits } => Self::Offset(F::ZERO, 1 << bits),
            TableRows::Clamp { bits, .. } | TableRows::ParityClamp { bits, .. } => {
                Self::Offset(from_i64(-(1i64 << (bits - 1))), 1 << bits)
            }
            TableRows::Columns { columns } => {
                let cells: Vec<&[F]> = columns.iter().map(|&c| key.constant_columns[c as usize].as_slice()).collect();
                let counts_up = cells[0].iter().enumerate().all(|(i, &v)| v == F::from_u64(i as u64));
                if counts_up {
                    return Self::Offset(F::ZERO, cells[0].len());
                }
                let tuple = |row: usize| cells.iter().map(|c| c[row].as_canonical_u64()).collect::<Vec<_>>();
                Self::Map((0..cells[0].len()).map(|row| (tuple(row), row)).collect())
            }
        }
    }

    /// Row of the tuple at a position, if there is one.
    pub(crate) fn find(&self, tuple: &[Vec<F>], at: usize) -> Option<usize> {
        match self {
            Self::Offset(start, len) => {
                let row = (tuple[0][at] - *start).as_canonical_u64();
                usize::try_from(row).ok().filter(|row| row < len)
            }
            Self::Map(map) => {
                let values: Vec<u64> = tuple.iter().map(|c| c[at].as_canonical_u64()).collect();
                map.get(&values).copied()
            }
        }
    }
}
