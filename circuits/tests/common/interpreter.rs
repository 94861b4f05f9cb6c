//! A second, slow reading of a constraint system: sources, expressions and table membership, cell by cell, written
//! against the documentation of `system.rs` and sharing no code with the prover.

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::{F, MODULUS, from_i64};
use vinfer_circuits::system::{AxisMap, ContractMap, Contraction, Expr, Instance, Source, System, TableRows};

/// Cells of every column, row-major over real indices.
pub(crate) type Columns = Vec<Vec<F>>;

/// All index tuples of a domain, row-major.
pub(crate) fn indices(dims: &[u32]) -> Vec<Vec<u32>> {
    let mut out = vec![Vec::new()];
    for &d in dims {
        out = out
            .iter()
            .flat_map(|prefix| (0..d).map(move |i| prefix.iter().copied().chain([i]).collect::<Vec<u32>>()))
            .collect();
    }
    out
}

/// Flat real index.
pub(crate) fn flat(dims: &[u32], index: &[u32]) -> usize {
    dims.iter().zip(index).fold(0, |at, (&d, &i)| at * d as usize + i as usize)
}

fn cell(system: &System, columns: &Columns, column: u32, index: &[u32]) -> F {
    columns[column as usize][flat(&system.columns[column as usize].dims, index)]
}

fn inside(at: i64, size: u32) -> Option<u32> {
    u32::try_from(at).ok().filter(|&i| i < size)
}

/// Value of a column read through maps at a position of some axes.
fn read(system: &System, columns: &Columns, column: u32, maps: &[AxisMap], index: &[u32]) -> F {
    let dims = &system.columns[column as usize].dims;
    // Every reading of the column: partial indices, extended axis by axis.
    let mut partial: Vec<Vec<u32>> = vec![Vec::new()];
    for map in maps {
        let at = partial[0].len();
        match map {
            AxisMap::Same { axis } => partial.iter_mut().for_each(|p| p.push(index[*axis as usize])),
            AxisMap::Gather { axis, span, list } => {
                let mut rest = list.iter().nth(index[*axis as usize] as usize).unwrap();
                let mut own = Vec::new();
                for &d in dims[at..at + *span as usize].iter().rev() {
                    own.insert(0, rest % d);
                    rest /= d;
                }
                assert_eq!(rest, 0);
                partial.iter_mut().for_each(|p| p.extend_from_slice(&own));
            }
            AxisMap::Strided { axis, stride, offset } => {
                let read = i64::from(index[*axis as usize]) * i64::from(*stride) + i64::from(*offset);
                let Some(i) = inside(read, dims[at]) else { return F::ZERO };
                partial.iter_mut().for_each(|p| p.push(i));
            }
            AxisMap::Selected { .. } => panic!("select the rows first"),
            AxisMap::Sum => {
                partial = partial
                    .iter()
                    .flat_map(|p| (0..dims[at]).map(move |i| p.iter().copied().chain([i]).collect::<Vec<u32>>()))
                    .collect();
            }
        }
    }
    partial.iter().map(|i| cell(system, columns, column, i)).sum()
}

/// Value of a source at a real domain position.
pub(crate) fn source(system: &System, columns: &Columns, inst: &Instance, source: &Source, index: &[u32]) -> F {
    match source {
        Source::Column { column, maps } => read(system, columns, *column, maps, index),
        Source::Product { product } => {
            let p = &system.products[*product as usize];
            let value = |sums: &Vec<u32>| {
                let at = [index, sums.as_slice()].concat();
                let [a, b] = [&p.a, &p.b].map(|f| read(system, columns, f.column, &f.maps, &at));
                a * b
            };
            indices(&p.summed).iter().map(value).sum()
        }
        Source::Contraction { contraction, rows } => {
            let row = rows.iter().nth(index[0] as usize).unwrap();
            contraction_value(system, columns, &system.contractions[*contraction as usize], row, &index[1..])
        }
        Source::OutsideWindow { axis, stride, offset, size } => {
            assert!(inst.dims.len() > *axis as usize);
            let read = i64::from(index[*axis as usize]) * i64::from(*stride) + i64::from(*offset);
            F::from_bool(inside(read, *size).is_none())
        }
    }
}

fn contraction_value(system: &System, columns: &Columns, c: &Contraction, row: u32, position: &[u32]) -> F {
    let mut total = F::ZERO;
    'sums: for sums in indices(&c.summed) {
        let grouped = c.rows_per_group > 0;
        if grouped && row / c.rows_per_group != sums[0] {
            continue;
        }
        // Each axis of the weights: the row, or the summed indices it merges.
        let own = &sums[usize::from(grouped)..];
        let sizes = &c.summed[usize::from(grouped)..];
        let weight_index: Vec<u32> = c
            .weight_axes
            .iter()
            .map(|merged| {
                merged.iter().fold(0, |at, &k| match k {
                    0 => row,
                    k => at * sizes[k as usize - 1] + own[k as usize - 1],
                })
            })
            .collect();
        let mut input_index = Vec::new();
        let dims = &system.columns[c.input as usize].dims;
        for (map, &size) in c.maps.iter().zip(dims) {
            input_index.push(match map {
                ContractMap::Summed { axis } => sums[*axis as usize],
                ContractMap::Position { axis } => position[*axis as usize],
                ContractMap::Window { axis, tap_axis, stride, dilation, offset } => {
                    let at = i64::from(position[*axis as usize]) * i64::from(*stride)
                        + i64::from(sums[*tap_axis as usize]) * i64::from(*dilation)
                        + i64::from(*offset);
                    match inside(at, size) {
                        Some(i) => i,
                        None => continue 'sums,
                    }
                }
                ContractMap::Grouped { axis, size } => sums[0] * size + sums[*axis as usize],
            });
        }
        total += cell(system, columns, c.weights, &weight_index) * cell(system, columns, c.input, &input_index);
    }
    total
}

/// Value of an expression at a real domain position.
pub(crate) fn expression(system: &System, columns: &Columns, inst: &Instance, expr: &Expr, index: &[u32]) -> F {
    let mut sum = F::from_u64(expr.constant) + F::from_u64(expr.index_coefficient) * F::from_u64(index[0].into());
    for &(coefficient, at) in &expr.terms {
        let value = source(system, columns, inst, &inst.sources[at as usize], index);
        sum += F::from_u64(coefficient) * value;
    }
    sum
}

/// The representative of least magnitude.
pub(crate) fn signed(v: F) -> i64 {
    let v = v.as_canonical_u64();
    if v > MODULUS / 2 { -((MODULUS - v) as i64) } else { v as i64 }
}

/// Whether a tuple is a row of a table.
pub(crate) fn contains(columns: &Columns, rows: &TableRows, tuple: &[F]) -> bool {
    let half = |bits: u8| 1i64 << (bits - 1);
    match rows {
        TableRows::Range { bits } => tuple[0].as_canonical_u64() < 1 << bits,
        TableRows::Clamp { bits, fraction_bits, lo, hi } => {
            let v = signed(tuple[0]);
            let y = (v >> fraction_bits).clamp((*lo).into(), (*hi).into());
            (-half(*bits)..half(*bits)).contains(&v) && tuple[1] == from_i64(y)
        }
        TableRows::ParityClamp { bits, lo, hi } => {
            let w = signed(tuple[0]);
            let y = w.clamp((*lo).into(), (*hi).into());
            (-half(*bits)..half(*bits)).contains(&w) && tuple[1] == from_i64(w.rem_euclid(2)) && tuple[2] == from_i64(y)
        }
        TableRows::Columns { columns: table } => {
            let cells: Vec<&Vec<F>> = table.iter().map(|&c| &columns[c as usize]).collect();
            (0..cells[0].len()).any(|row| cells.iter().zip(tuple).all(|(c, t)| c[row] == *t))
        }
    }
}

/// Every row of a table, component by component.
pub(crate) fn rows(columns: &Columns, rows: &TableRows) -> Vec<Vec<F>> {
    let signed = |bits: u8| -(1i64 << (bits - 1))..1i64 << (bits - 1);
    let clamp = |v: i64, lo: i32, hi: i32| from_i64(v.clamp(lo.into(), hi.into()));
    match rows {
        TableRows::Range { bits } => (0..1u64 << bits).map(|v| vec![F::from_u64(v)]).collect(),
        TableRows::Clamp { bits, fraction_bits, lo, hi } => {
            signed(*bits).map(|v| vec![from_i64(v), clamp(v.div_euclid(1 << fraction_bits), *lo, *hi)]).collect()
        }
        TableRows::ParityClamp { bits, lo, hi } => {
            signed(*bits).map(|w| vec![from_i64(w), from_i64(w.rem_euclid(2)), clamp(w, *lo, *hi)]).collect()
        }
        TableRows::Columns { columns: table } => (0..columns[table[0] as usize].len())
            .map(|row| table.iter().map(|&c| columns[c as usize][row]).collect())
            .collect(),
    }
}

/// A lookup that no table row answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) instance: usize,
    pub(crate) lookup: usize,
    pub(crate) index: Vec<u32>,
}

/// The first unanswered lookup. Contraction values are recomputed from the columns.
pub(crate) fn violation(system: &System, columns: &Columns) -> Option<Violation> {
    for (instance, inst) in system.instances.iter().enumerate() {
        for index in indices(&inst.dims) {
            for (lookup, argument) in inst.lookups.iter().enumerate() {
                let tuple: Vec<F> =
                    argument.tuple.iter().map(|e| expression(system, columns, inst, e, &index)).collect();
                if !contains(columns, &system.tables[argument.table as usize].rows, &tuple) {
                    return Some(Violation { instance, lookup, index });
                }
            }
        }
    }
    None
}
