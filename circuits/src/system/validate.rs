//! What makes a [`System`] well formed: every index in range, every size bounded, every shape consistent. A verifier
//! runs this once per key, so that nothing later can go out of bounds.

use alloc::collections::BTreeSet;

use super::{AxisMap, ContractMap, Home, IndexList, PublicPort, Source, System, TableRows, domain_bits, domain_len};
use crate::field::MODULUS;
use crate::program::IntType;

/// A rule that a system breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{part} {index}: {rule}")]
pub struct SystemError {
    /// Kind of object.
    pub part: &'static str,
    /// Its index.
    pub index: usize,
    /// The rule.
    pub rule: &'static str,
}

/// Largest index width of one column, domain or commitment.
const MAX_BITS: u32 = 30;
/// Most objects of one kind.
const MAX_OBJECTS: usize = 1 << 16;
/// Most ports.
const MAX_PORTS: usize = 1 << 10;
/// Most steps a verifier takes for the weights of all functionals: an upper bound on its time and memory.
const MAX_WORK: u64 = 1 << 24;

type Check = Result<(), &'static str>;

fn ensure(condition: bool, rule: &'static str) -> Check {
    if condition { Ok(()) } else { Err(rule) }
}

impl System {
    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), SystemError> {
        let counts = [
            self.columns.len(),
            self.instances.len(),
            self.tables.len(),
            self.contractions.len() + self.products.len(),
        ];
        let name = |part, index| move |rule| SystemError { part, index, rule };
        ensure(counts.iter().all(|&n| n <= MAX_OBJECTS), "too many objects").map_err(name("system", 0))?;
        ensure(self.inputs.len() + self.outputs.len() <= MAX_PORTS, "too many ports").map_err(name("system", 0))?;
        let (mut cells, mut lookups) = (0u64, 0u64);
        for (index, column) in self.columns.iter().enumerate() {
            ensure(sizes_ok(&column.dims), "column dimensions").map_err(name("column", index))?;
            cells = cells.saturating_add(1u64 << column.bits());
        }
        ensure(cells <= 1 << MAX_BITS, "too many cells").map_err(name("system", 0))?;
        for index in 0..self.contractions.len() {
            self.check_contraction(index).map_err(name("contraction", index))?;
        }
        for index in 0..self.products.len() {
            self.check_product(index).map_err(name("product", index))?;
        }
        for (index, instance) in self.instances.iter().enumerate() {
            self.check_instance(index).map_err(name("instance", index))?;
            let leaves = (1u64 << domain_bits(&instance.dims)).saturating_mul(instance.lookups.len() as u64);
            lookups = lookups.saturating_add(leaves);
        }
        ensure(self.functional_work() <= MAX_WORK, "too much work for a verifier").map_err(name("system", 0))?;
        self.check_contractions_used().map_err(name("system", 0))?;
        let mut multiplicities = BTreeSet::new();
        for (index, table) in self.tables.iter().enumerate() {
            ensure(multiplicities.insert(table.multiplicity), "multiplicity column shared by two tables")
                .map_err(name("table", index))?;
            self.check_table(index).map_err(name("table", index))?;
            lookups = lookups.saturating_add(self.table_rows(&table.rows).next_power_of_two());
        }
        // Keeps the number of lookups far below p, and every layout sum inside u64.
        ensure(lookups <= 1 << MAX_BITS, "too many lookups").map_err(name("system", 0))?;
        for (index, port) in self.inputs.iter().chain(&self.outputs).enumerate() {
            self.check_port(port).map_err(name("port", index))?;
        }
        ensure(!self.outputs.is_empty() && !self.tables.is_empty(), "needs an output and a table")
            .map_err(name("system", 0))?;
        self.check_public_columns().map_err(name("system", 0))
    }

    fn column_dims(&self, id: u32, home: Option<Home>) -> Result<&[u32], &'static str> {
        let column = self.columns.get(id as usize).ok_or("unknown column")?;
        ensure(home.is_none_or(|h| h == column.home), "column has the wrong home")?;
        Ok(&column.dims)
    }

    fn check_instance(&self, index: usize) -> Check {
        let instance = self.instances.get(index).ok_or("missing")?;
        let dims = &instance.dims;
        ensure(!dims.is_empty() && sizes_ok(dims), "domain dimensions")?;
        ensure(instance.lookups.len() <= 4096 && instance.sources.len() <= 4096, "too many lookups or sources")?;
        let axis_len = |axis: u8| dims.get(axis as usize).copied().ok_or("unknown domain axis");
        for source in &instance.sources {
            match source {
                Source::Column { column, maps } => self.check_maps(*column, maps, dims)?,
                Source::Product { product } => {
                    let p = self.products.get(*product as usize).ok_or("unknown product")?;
                    ensure(p.dims == *dims, "product and domain differ")?;
                }
                Source::Contraction { contraction, rows } => {
                    let c = self.contractions.get(*contraction as usize).ok_or("unknown contraction")?;
                    ensure(rows.len() == axis_len(0)? as usize, "row list length")?;
                    ensure(list_below(rows, self.rows_of(c)?), "row out of range")?;
                    ensure(dims.get(1..) == Some(c.positions.as_slice()), "positions differ from the domain")?;
                }
                Source::OutsideWindow { axis, stride, .. } => {
                    axis_len(*axis)?;
                    ensure(*stride <= 1 << 20, "stride")?;
                }
            }
        }
        for lookup in &instance.lookups {
            let table = self.tables.get(lookup.table as usize).ok_or("unknown table")?;
            ensure(lookup.tuple.len() == table.rows.arity(), "tuple length")?;
            for expr in &lookup.tuple {
                let known = |&(c, s): &(u64, u16)| c < MODULUS && usize::from(s) < instance.sources.len();
                ensure(expr.terms.iter().all(known), "expression term")?;
                ensure(expr.constant < MODULUS && expr.index_coefficient < MODULUS, "expression constant")?;
            }
        }
        Ok(())
    }

    /// Maps cover the whole column, every index they give is in range, and no axis drives two column axes.
    fn check_maps(&self, column: u32, maps: &[AxisMap], axes: &[u32]) -> Check {
        let mut rest = self.column_dims(column, None)?;
        let mut driven = BTreeSet::new();
        for map in maps {
            let (head, tail) = rest.split_at_checked(map.span()).ok_or("maps cover too many axes")?;
            rest = tail;
            let size: u64 = head.iter().map(|&d| u64::from(d)).product();
            let Some(axis) = map.axis() else { continue };
            ensure(driven.insert(axis), "a domain axis drives two column axes")?;
            let len = axes.get(axis as usize).copied().ok_or("unknown domain axis")?;
            match map {
                AxisMap::Same { .. } => ensure(u64::from(len) == size, "axis sizes differ")?,
                AxisMap::Gather { list, .. } => {
                    ensure(!head.is_empty(), "empty span")?;
                    ensure(list.len() == len as usize, "gather length")?;
                    ensure(list_below(list, size), "gather index out of range")?;
                }
                AxisMap::Strided { stride, .. } => ensure(*stride <= 1 << 20, "stride")?,
                AxisMap::Selected { input, .. } => {
                    let port = self.inputs.get(*input as usize).ok_or("unknown input")?;
                    let q = &port.quantisation;
                    ensure(port.len() == u64::from(len), "selection length")?;
                    ensure(q.zero_point == 0 && q.lo() >= 0, "selection may be negative")?;
                    ensure(u64::from(q.hi().unsigned_abs()) < size, "selection out of range")?;
                    ensure(
                        self.column_dims(column, Some(Home::Constants)).is_ok(),
                        "selection of other than constants",
                    )?;
                }
                AxisMap::Sum => {}
            }
        }
        ensure(rest.is_empty(), "maps do not cover the column")
    }

    fn check_product(&self, index: usize) -> Check {
        let p = self.products.get(index).ok_or("missing")?;
        let axes = p.axes();
        ensure(sizes_ok(&axes), "dimensions")?;
        for factor in [&p.a, &p.b] {
            self.check_maps(factor.column, &factor.maps, &axes)?;
            ensure(!factor.maps.iter().any(|m| matches!(m, AxisMap::Selected { .. })), "selection in a product")?;
        }
        // An axis that no factor reads would be summed or broadcast; the relation has neither.
        let reads = |f: &super::Factor, axis: usize| f.maps.iter().any(|m| m.axis().map(usize::from) == Some(axis));
        for axis in 0..axes.len() {
            let (a, b) = (reads(&p.a, axis), reads(&p.b, axis));
            ensure(if axis < p.dims.len() { a || b } else { a && b }, "an axis drives too few factors")?;
        }
        Ok(())
    }

    fn rows_of(&self, c: &super::Contraction) -> Result<u64, &'static str> {
        let dims = self.column_dims(c.weights, Some(Home::Constants))?;
        dims.get(c.row_axis()).map(|&d| u64::from(d)).ok_or("row axis")
    }

    fn check_contraction(&self, index: usize) -> Check {
        let c = self.contractions.get(index).ok_or("missing")?;
        let weights = self.column_dims(c.weights, Some(Home::Constants))?;
        let rows = self.rows_of(c)?;
        ensure(sizes_ok(&c.summed) && sizes_ok(&c.positions), "dimensions")?;
        if c.rows_per_group > 0 {
            let &groups = c.summed.first().ok_or("groups need a summed axis")?;
            ensure(u64::from(groups).checked_mul(u64::from(c.rows_per_group)) == Some(rows), "groups times rows")?;
        }
        // The axes of the weights: the rows alone, and every own summed axis once.
        let own = c.own_summed();
        ensure(c.weight_axes.len() == weights.len(), "one entry per axis of the weights")?;
        let mut listed: alloc::vec::Vec<u8> = c.weight_axes.iter().flatten().copied().collect();
        listed.sort_unstable();
        let all = listed.iter().enumerate().all(|(at, &axis)| at == usize::from(axis));
        ensure(all && listed.len() == own.len() + 1, "weights do not match the summed axes")?;
        for (merged, &size) in c.weight_axes.iter().zip(weights) {
            ensure(!merged.contains(&0) || merged.as_slice() == [0], "rows merged with another axis")?;
            let sizes = merged.iter().filter(|&&axis| axis > 0).map(|&axis| own.get(usize::from(axis) - 1).copied());
            let product = sizes.fold(1u64, |n, size| n.saturating_mul(size.map_or(u64::MAX, u64::from)));
            ensure(merged.as_slice() == [0] || product == u64::from(size), "weights do not match the summed axes")?;
        }
        let input = self.column_dims(c.input, None)?;
        ensure(input.len() == c.maps.len(), "one map per input axis")?;
        let summed = |axis: u8| c.summed.get(axis as usize).copied().ok_or("unknown summed axis");
        let position = |axis: u8| c.positions.get(axis as usize).copied().ok_or("unknown position axis");
        for (&size, map) in input.iter().zip(&c.maps) {
            match map {
                ContractMap::Summed { axis } => ensure(summed(*axis)? == size, "summed axis size")?,
                ContractMap::Position { axis } => ensure(position(*axis)? == size, "position axis size")?,
                ContractMap::Window { axis, tap_axis, stride, dilation, .. } => {
                    position(*axis)?;
                    summed(*tap_axis)?;
                    ensure(*stride <= 1 << 20 && *dilation <= 1 << 20, "window")?;
                }
                ContractMap::Grouped { axis, size: per_group } => {
                    ensure(c.rows_per_group > 0 && *axis != 0, "grouped map without groups")?;
                    ensure(summed(*axis)? == *per_group, "channels per group")?;
                    let product = u64::from(*per_group).checked_mul(u64::from(summed(0)?));
                    ensure(product == Some(u64::from(size)), "channels")?;
                }
            }
        }
        // Every summed and position axis must be driven exactly once, or the sum would not be what it says.
        let mut driven_sums = alloc::vec![0u32; c.summed.len()];
        let mut driven_positions = alloc::vec![0u32; c.positions.len()];
        let bump = |list: &mut [u32], axis: u8| {
            if let Some(n) = list.get_mut(axis as usize) {
                *n = n.saturating_add(1);
            }
        };
        for map in &c.maps {
            match map {
                ContractMap::Summed { axis } => bump(&mut driven_sums, *axis),
                ContractMap::Position { axis } => bump(&mut driven_positions, *axis),
                ContractMap::Window { axis, tap_axis, .. } => {
                    bump(&mut driven_positions, *axis);
                    bump(&mut driven_sums, *tap_axis);
                }
                ContractMap::Grouped { axis, .. } => {
                    bump(&mut driven_sums, 0);
                    bump(&mut driven_sums, *axis);
                }
            }
        }
        ensure(driven_sums.iter().chain(&driven_positions).all(|&n| n == 1), "every axis exactly once")
    }

    fn check_table(&self, index: usize) -> Check {
        let table = self.tables.get(index).ok_or("missing")?;
        let rows = match &table.rows {
            TableRows::Range { bits } => u32::from(*bits),
            TableRows::Clamp { bits, fraction_bits, lo, hi } => {
                ensure(*lo <= 0 && *hi >= 0, "clamp range")?;
                ensure(fraction_bits < bits, "fraction bits")?;
                let half = 1i64.checked_shl(u32::from(*bits - *fraction_bits - 1)).unwrap_or(0);
                ensure(i64::from(*lo) >= -half && i64::from(*hi) < half, "clamp range exceeds the table")?;
                u32::from(*bits)
            }
            TableRows::ParityClamp { bits, lo, hi } => {
                ensure(*lo <= 0 && *hi >= 0 && *bits > 1, "clamp range")?;
                let half = 1i64.checked_shl(u32::from(*bits - 1)).unwrap_or(0);
                ensure(i64::from(*lo) >= -half && i64::from(*hi) < half, "clamp range exceeds the table")?;
                u32::from(*bits)
            }
            TableRows::Columns { columns } => {
                ensure(!columns.is_empty() && columns.len() <= 8, "table columns")?;
                let rows = self.table_rows(&table.rows);
                for &c in columns {
                    let dims = self.column_dims(c, Some(Home::Constants))?;
                    ensure(dims.len() == 1 && domain_len(dims) == rows, "table column shape")?;
                }
                0
            }
        };
        ensure(rows <= 24, "table too wide")?;
        let dims = self.column_dims(table.multiplicity, Some(Home::Witness))?;
        ensure(dims.len() == 1 && domain_len(dims) == self.table_rows(&table.rows), "multiplicity shape")
    }

    /// Steps for building and evaluating all weights that are not in closed form.
    fn functional_work(&self) -> u64 {
        let mut work = 0u64;
        let mut add = |n: u64| work = work.saturating_add(n);
        for instance in &self.instances {
            for source in &instance.sources {
                add(1);
                match source {
                    Source::Column { column, maps } => add(self.maps_work(*column, maps, &instance.dims)),
                    Source::Product { product } => {
                        if let Some(p) = self.products.get(*product as usize) {
                            let axes = p.axes();
                            add(axes.iter().map(|&d| u64::from(d)).fold(0, u64::saturating_add));
                            add(self.maps_work(p.a.column, &p.a.maps, &axes));
                            add(self.maps_work(p.b.column, &p.b.maps, &axes));
                        }
                    }
                    Source::Contraction { rows, .. } => add(rows.len() as u64),
                    Source::OutsideWindow { axis, .. } => {
                        add(instance.dims.get(*axis as usize).map_or(0, |&d| u64::from(d)));
                    }
                }
            }
        }
        for c in &self.contractions {
            add(self.rows_of(c).unwrap_or(0));
            let merged = c.weight_axes.iter().zip(self.columns.get(c.weights as usize).map_or(&[][..], |w| &w.dims));
            merged.filter(|(axes, _)| axes.len() > 1).for_each(|(_, &size)| add(u64::from(size)));
            let input = self.columns.get(c.input as usize).map_or(&[][..], |c| &c.dims);
            for (&size, map) in input.iter().zip(&c.maps) {
                match map {
                    ContractMap::Window { axis, tap_axis, .. } => {
                        let outs = c.positions.get(*axis as usize).map_or(0, |&d| u64::from(d));
                        let taps = c.summed.get(*tap_axis as usize).map_or(0, |&d| u64::from(d));
                        add(outs.saturating_mul(taps).saturating_add(u64::from(size)));
                    }
                    ContractMap::Grouped { .. } => add(u64::from(size)),
                    ContractMap::Summed { .. } | ContractMap::Position { .. } => {}
                }
            }
        }
        work
    }

    /// Steps for the weights of one column read through maps.
    fn maps_work(&self, column: u32, maps: &[AxisMap], axes: &[u32]) -> u64 {
        let dims = self.columns.get(column as usize).map_or(&[][..], |c| &c.dims);
        let mut work = 0u64;
        let mut at = 0usize;
        for map in maps {
            if let AxisMap::Gather { axis, .. } | AxisMap::Strided { axis, .. } | AxisMap::Selected { axis, .. } = map {
                let size = dims.iter().skip(at).take(map.span()).map(|&d| u64::from(d)).product();
                work = work.saturating_add(size).saturating_add(axes.get(*axis as usize).map_or(0, |&d| u64::from(d)));
            }
            at += map.span();
        }
        work
    }

    /// A contraction that no source reads would carry free claims; a product serves exactly one source.
    fn check_contractions_used(&self) -> Check {
        let mut used = alloc::vec![false; self.contractions.len()];
        let mut served = alloc::vec![0u32; self.products.len()];
        for source in self.instances.iter().flat_map(|i| &i.sources) {
            match source {
                Source::Contraction { contraction, .. } => {
                    if let Some(u) = used.get_mut(*contraction as usize) {
                        *u = true;
                    }
                }
                Source::Product { product } => {
                    if let Some(n) = served.get_mut(*product as usize) {
                        *n = n.saturating_add(1);
                    }
                }
                Source::Column { .. } | Source::OutsideWindow { .. } => {}
            }
        }
        ensure(used.iter().all(|&u| u), "unused contraction")?;
        ensure(served.iter().all(|&n| n == 1), "a product must serve one source")
    }

    fn check_port(&self, port: &PublicPort) -> Check {
        let dims = self.column_dims(port.column, Some(Home::Public))?;
        let mut seen = alloc::vec![false; dims.len()];
        for &axis in &port.order {
            let slot = seen.get_mut(axis as usize).ok_or("port axis")?;
            ensure(!*slot, "port axis twice")?;
            *slot = true;
        }
        ensure(seen.iter().all(|&s| s), "port misses an axis")?;
        ensure(sizes_ok(&port.shape), "port shape")?;
        let real: u64 = dims.iter().map(|&d| u64::from(d)).product();
        ensure(real == port.len(), "port shape and column differ")?;
        let float = port.quantisation.int_type == IntType::F32;
        ensure(float == port.float_parts.is_some(), "port of floats without their parts")?;
        for &part in port.float_parts.iter().flatten() {
            ensure(self.column_dims(part, Some(Home::Public))? == dims, "parts of a float differ in shape")?;
        }
        let q = &port.quantisation;
        ensure(q.is_exact() && q.scale().is_finite() && q.scale() > 0.0, "port quantisation")
    }

    /// Every public column is bound to the statement by a port.
    fn check_public_columns(&self) -> Check {
        let columns = |p: &PublicPort| [Some(p.column), p.float_parts.map(|[e, _]| e), p.float_parts.map(|[_, s]| s)];
        let bound: BTreeSet<u32> = self.inputs.iter().chain(&self.outputs).flat_map(columns).flatten().collect();
        let public = self.columns.iter().enumerate().filter(|(_, c)| c.home == Home::Public);
        ensure(public.into_iter().all(|(id, _)| bound.contains(&(id as u32))), "public column without port")
    }
}

fn sizes_ok(dims: &[u32]) -> bool {
    dims.len() <= 16 && dims.iter().all(|d| (1..=1 << 28).contains(d)) && domain_bits(dims) <= MAX_BITS
}

fn list_below(list: &IndexList, bound: u64) -> bool {
    match list {
        IndexList::Identity(n) => u64::from(*n) <= bound,
        IndexList::List(list) => list.iter().all(|&i| u64::from(i) < bound),
    }
}
