//! How often every table row is looked up.

use std::ops::Range;

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use rayon::prelude::*;
use vinfer_circuits::field::F;
use vinfer_circuits::system::{Expr, System, domain_len};

use crate::keys::ProvingKey;
use crate::witness::{Positions, Reader, RowIndex, Witness};

/// Positions looked up at a time.
const BLOCK: usize = 1 << 12;

/// Counts the uses of every table row. Returns the first lookup without a row, after counting all others.
pub fn count_multiplicities(key: &ProvingKey, witness: &mut Witness) -> Option<(usize, usize)> {
    let counter = Counter { key, witness, rows: key.rows() };
    let counted = shares(&witness.system, rayon::current_num_threads())
        .into_par_iter()
        .map(|share| counter.count(&share))
        .reduce_with(Counts::add)
        .unwrap_or_else(|| Counts::new(&witness.system));
    for (table, counts) in counted.tables.iter().enumerate() {
        let column = witness.system.tables[table].multiplicity;
        witness.columns[column as usize] = counts.iter().map(|&n| F::from_u64(n)).collect();
    }
    counted.missing
}

/// An instance, and a range of its outermost axis.
type Unit = (usize, Range<usize>);

/// The positions of all instances in about equal shares.
fn shares(system: &System, count: usize) -> Vec<Vec<Unit>> {
    let work = |instance: usize| {
        let own = &system.instances[instance];
        let inner: u64 = own.dims[1..].iter().map(|&d| u64::from(d)).product();
        inner * own.lookups.len() as u64
    };
    let total: u64 = (0..system.instances.len()).map(|i| work(i) * u64::from(system.instances[i].dims[0])).sum();
    let share = total.div_ceil(count as u64).max(1);
    let (mut shares, mut left) = (vec![Vec::new()], share);
    for (index, instance) in system.instances.iter().enumerate() {
        let (outer, each) = (instance.dims[0] as usize, work(index).max(1));
        let mut start = 0;
        while start < outer {
            let rows = usize::try_from(left.div_ceil(each)).unwrap_or(usize::MAX).clamp(1, outer - start);
            if let Some(own) = shares.last_mut() {
                own.push((index, start..start + rows));
            }
            start += rows;
            left = left.saturating_sub(rows as u64 * each);
            if left == 0 {
                shares.push(Vec::new());
                left = share;
            }
        }
    }
    shares
}

struct Counts {
    /// Uses of each row of each table.
    tables: Vec<Vec<u64>>,
    /// The first lookup without a row.
    missing: Option<(usize, usize)>,
}

impl Counts {
    fn new(system: &System) -> Self {
        let tables = system.tables.iter().map(|t| vec![0u64; system.table_rows(&t.rows) as usize]).collect();
        Self { tables, missing: None }
    }

    fn add(mut self, other: Self) -> Self {
        for (sum, counts) in self.tables.iter_mut().zip(other.tables) {
            sum.iter_mut().zip(counts).for_each(|(a, b)| *a += b);
        }
        self.missing = self.missing.into_iter().chain(other.missing).min();
        self
    }

    /// Counts `times` uses of a row.
    fn count(&mut self, lookup: (usize, usize), table: u32, row: Option<usize>, times: u64) {
        match row {
            Some(row) => self.tables[table as usize][row] += times,
            None => self.missing = self.missing.into_iter().chain([lookup]).min(),
        }
    }
}

struct Counter<'a> {
    key: &'a ProvingKey,
    witness: &'a Witness,
    rows: &'a [RowIndex],
}

impl Counter<'_> {
    fn count(&self, share: &[Unit]) -> Counts {
        let mut counts = Counts::new(&self.witness.system);
        for (instance, range) in share {
            self.count_instance(*instance, range.clone(), &mut counts);
        }
        counts
    }

    /// Expressions of a lookup that decide its row.
    fn deciding<'e>(&self, table: u32, tuple: &'e [Expr]) -> &'e [Expr] {
        if let RowIndex::Offset(..) = self.rows[table as usize] { &tuple[..1] } else { tuple }
    }

    fn count_instance(&self, index: usize, range: Range<usize>, counts: &mut Counts) {
        let instance = &self.witness.system.instances[index];
        let reader = self.witness.reader(self.key, index, Positions::Real);
        let mut needed = vec![false; instance.sources.len()];
        for argument in &instance.lookups {
            for expr in self.deciding(argument.table, &argument.tuple) {
                expr.terms.iter().for_each(|&(_, source)| needed[source as usize] = true);
            }
        }
        let mut sources: Vec<Vec<F>> = vec![Vec::new(); needed.len()];
        let mut tuple: Vec<Vec<F>> = Vec::new();
        let rows = reader.rows(BLOCK);
        let mut start = range.start;
        while start < range.end {
            let outer = start..(start + rows).min(range.end);
            for (source, values) in sources.iter_mut().enumerate().filter(|(source, _)| needed[*source]) {
                values.resize(outer.len() * reader.inner, F::ZERO);
                reader.read(source, outer.clone(), values);
            }
            for (lookup, argument) in instance.lookups.iter().enumerate() {
                let exprs = self.deciding(argument.table, &argument.tuple);
                tuple.resize(tuple.len().max(exprs.len()), Vec::new());
                for (values, expr) in tuple.iter_mut().zip(exprs) {
                    reader.combine(expr, &sources, outer.clone(), values);
                }
                self.count_block((index, lookup), argument.table, &tuple[..exprs.len()], counts);
            }
            start = outer.end;
        }
        if range.start == 0 {
            self.count_pads(index, &reader, counts);
        }
    }

    /// At pads every expression is zero.
    fn count_pads(&self, index: usize, reader: &Reader<'_>, counts: &mut Counts) {
        let instance = &self.witness.system.instances[index];
        let pads = domain_len(&instance.dims) - (reader.outer * reader.inner) as u64;
        if pads == 0 {
            return;
        }
        for (lookup, argument) in instance.lookups.iter().enumerate() {
            counts.count((index, lookup), argument.table, self.find(argument.table, |_| F::ZERO), pads);
        }
    }

    fn count_block(&self, lookup: (usize, usize), table: u32, tuple: &[Vec<F>], counts: &mut Counts) {
        if let RowIndex::Offset(first, len) = self.rows[table as usize] {
            let own = &mut counts.tables[table as usize];
            let mut missing = false;
            for &v in &tuple[0] {
                let row = (v - first).as_canonical_u64();
                match own.get_mut(usize::try_from(row).unwrap_or(usize::MAX)) {
                    Some(count) if row < len as u64 => *count += 1,
                    _ => missing = true,
                }
            }
            if missing {
                counts.count(lookup, table, None, 1);
            }
        } else {
            (0..tuple[0].len()).for_each(|at| {
                counts.count(lookup, table, self.find(table, |component| tuple[component][at]), 1);
            });
        }
    }

    /// Row of a tuple, if there is one.
    fn find(&self, table: u32, tuple: impl Fn(usize) -> F) -> Option<usize> {
        match &self.rows[table as usize] {
            RowIndex::Offset(first, len) => {
                usize::try_from((tuple(0) - *first).as_canonical_u64()).ok().filter(|row| row < len)
            }
            RowIndex::Hashed(rows) => rows.find(&self.key.constant_columns, tuple),
        }
    }
}
