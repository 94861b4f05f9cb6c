//! One float operation over many positions, whose operands and result are set cell by cell, and a search for hints: does
//! any choice of the prover satisfy every lookup of a position?
//!
//! Hints that a table, a product or a sign determines are enumerated; limbs are not: a sum of limbs exists if and only if
//! the rest of its expression is, as a field element, below the bound that the limbs reach together.

use std::collections::BTreeSet;

use super::interpreter::{self, Columns, expression, signed};
use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{FloatForm, FloatSources, FloatStep, Lowered, RoundHints, Step, lower};
use vinfer_circuits::program::Program;
use vinfer_circuits::system::{Expr, Instance, Source, System, TableRows};

/// The cells of a float; the exponent may be any field element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) m: i64,
    pub(crate) e: F,
    pub(crate) s: i64,
}

/// A non-negative combination: what remains of an expression without its limbs, times `2^shift`, is below `2^(shift + bits)`.
struct Bound {
    rest: Expr,
    shift: u64,
    bits: u32,
}

pub(crate) struct Bench {
    pub(crate) lowered: Lowered,
    pub(crate) columns: Columns,
    pub(crate) step: FloatStep,
    rows: Vec<BTreeSet<Vec<u64>>>,
    tables: Vec<Vec<Vec<F>>>,
    bounds: Vec<Bound>,
    members: Vec<(usize, Vec<Expr>)>,
}

fn column(inst: &Instance, source: u16) -> usize {
    let Source::Column { column, .. } = &inst.sources[source as usize] else { panic!("a column") };
    *column as usize
}

fn plain(expr: &Expr) -> Option<u16> {
    match expr.terms.as_slice() {
        [(1, source)] if expr.constant == 0 && expr.index_coefficient == 0 => Some(*source),
        _ => None,
    }
}

/// Splits the range lookups of an instance into limbs and the expressions that they complete.
fn bounds(system: &System, inst: &Instance) -> Vec<Bound> {
    let range = |table: u32| match system.tables[table as usize].rows {
        TableRows::Range { bits } => Some(u32::from(bits)),
        _ => None,
    };
    let ranged = || inst.lookups.iter().filter_map(|l| range(l.table).map(|bits| (&l.tuple[0], bits)));
    // Limbs: plain columns in a range table of more than one bit.
    let limbs: Vec<(u16, u32)> =
        ranged().filter(|&(_, bits)| bits > 1).filter_map(|(e, bits)| plain(e).map(|s| (s, bits))).collect();
    let mut out = Vec::new();
    for (expr, bits) in ranged() {
        if bits > 1 && plain(expr).is_some_and(|s| limbs.iter().any(|l| l.0 == s)) {
            // A column that is alone in its bound is no limb of another.
            let used = ranged().any(|(e, _)| e != expr && e.terms.iter().any(|t| Some(t.1) == plain(expr)));
            assert!(used, "a limb without a sum");
            continue;
        }
        let own: Vec<(u16, u32)> =
            limbs.iter().copied().filter(|&(s, _)| expr.terms.iter().any(|t| t.1 == s)).collect();
        let shift: u32 = own.iter().map(|l| l.1).sum();
        let mut rest = expr.clone();
        let mut weight = 0;
        for (source, width) in own {
            let at = rest.terms.iter().position(|t| t.1 == source).unwrap();
            let (coefficient, _) = rest.terms.remove(at);
            let expected = -F::TWO.exp_u64(weight);
            assert_eq!(F::from_u64(coefficient) * F::TWO.exp_u64(shift.into()), expected, "weight of a limb");
            weight += u64::from(width);
        }
        out.push(Bound { rest, shift: shift.into(), bits });
    }
    out
}

impl Bench {
    /// The only float operation of a program with hints.
    pub(crate) fn new(program: &Program) -> Self {
        let lowered = lower(program).unwrap();
        let system = &lowered.system;
        let mut columns: Columns = system.columns.iter().map(|c| vec![F::ZERO; c.real_cells() as usize]).collect();
        for (column, cells) in &lowered.constants {
            columns[*column as usize].clone_from(cells);
        }
        let mut steps = lowered.plan.iter().filter_map(|s| match s {
            Step::Float(step) if !matches!(step.form, FloatForm::Integers { .. }) => Some(step.clone()),
            _ => None,
        });
        let step = steps.next_back().unwrap();
        let inst = &system.instances[step.instance as usize];
        let explicit = |rows: &TableRows| match rows {
            TableRows::Columns { .. } => interpreter::rows(&columns, rows),
            _ => Vec::new(),
        };
        let tables: Vec<Vec<Vec<F>>> = system.tables.iter().map(|t| explicit(&t.rows)).collect();
        let canonical = |row: &Vec<F>| row.iter().map(PrimeField64::as_canonical_u64).collect::<Vec<u64>>();
        let rows = tables.iter().map(|t| t.iter().map(canonical).collect()).collect();
        let bounds = bounds(system, inst);
        let members = inst.lookups.iter().filter(|l| !tables[l.table as usize].is_empty());
        let members = members.map(|l| (l.table as usize, l.tuple.clone())).collect();
        Self { columns, step, rows, tables, bounds, members, lowered }
    }

    pub(crate) fn instance(&self) -> &Instance {
        &self.lowered.system.instances[self.step.instance as usize]
    }

    pub(crate) fn set(&mut self, column: u32, at: usize, v: F) {
        self.columns[column as usize][at] = v;
    }

    /// Sets the cells behind three sources, which must be read in place.
    pub(crate) fn set_float(&mut self, sources: FloatSources, at: usize, cells: Cells) {
        let columns = sources.map(|s| column(self.instance(), s));
        for (column, v) in columns.into_iter().zip([from_i64(cells.m), cells.e, from_i64(cells.s)]) {
            self.columns[column][at] = v;
        }
    }

    pub(crate) fn value(&self, source: u16, index: &[u32]) -> F {
        let inst = self.instance();
        interpreter::source(&self.lowered.system, &self.columns, inst, &inst.sources[source as usize], index)
    }

    fn float(&self, sources: FloatSources, index: &[u32]) -> [F; 3] {
        sources.map(|s| self.value(s, index))
    }

    /// Whether every lookup has a row, for some limbs.
    fn satisfied(&self, index: &[u32]) -> bool {
        let inst = self.instance();
        let evaluate = |e: &Expr| expression(&self.lowered.system, &self.columns, inst, e, index);
        self.members.iter().all(|(table, tuple)| {
            let tuple: Vec<u64> = tuple.iter().map(|e| evaluate(e).as_canonical_u64()).collect();
            self.rows[*table].contains(&tuple)
        }) && self.bounds.iter().all(|b| {
            let rest = evaluate(&b.rest) * F::TWO.exp_u64(b.shift);
            rest.as_canonical_u64() < 1u64 << (b.shift as u32 + b.bits)
        })
    }

    /// Rows of the table of a lookup that begin with a key.
    fn keyed(&self, lookup: usize, key: F) -> Vec<Vec<F>> {
        let table = self.members[lookup].0;
        self.tables[table].iter().filter(|row| row[0] == key).cloned().collect()
    }

    fn key_of(&self, lookup: usize, index: &[u32]) -> F {
        expression(&self.lowered.system, &self.columns, self.instance(), &self.members[lookup].1[0], index)
    }

    /// Tries every rounding hint for the result that is in place.
    fn rounds(&mut self, hints: &RoundHints, out: FloatSources, at: usize, index: &[u32]) -> bool {
        let [m, _, s] = self.float(out, index).map(signed);
        let magnitudes = if s == 0 { vec![(1 << 23) + 1, (1 << 23) + 2, 1 << 24] } else { vec![m * s] };
        for magnitude in magnitudes {
            self.set(hints.magnitude, at, from_i64(magnitude));
            for (up, down) in [(0, 0), (1, 0), (0, 1)] {
                self.set(hints.carries[0], at, F::from_u64(up));
                self.set(hints.carries[1], at, F::from_u64(down));
                // The low bits are those of g, or 0 where a carry is set: nothing else is in both range and table.
                let g = magnitude - (1 << 23) - 1 + (up + down) as i64;
                let low = if up + down == 0 { g.rem_euclid(1 << 11) } else { 0 };
                self.set(hints.low, at, from_i64(low));
                self.set(hints.parity, at, from_i64(low & 1));
                if self.satisfied(index) {
                    return true;
                }
            }
        }
        false
    }

    /// Whether hints exist for the operands and the result in place at one position.
    #[allow(clippy::too_many_lines)]
    pub(crate) fn admits(&mut self, at: usize, index: &[u32]) -> bool {
        let form = self.step.form.clone();
        match form {
            FloatForm::Sum { b, out, base, scales, unit, round, .. } => {
                // Lookup 0 aligns, lookup 1 gives the unit.
                let e_b = self.value(b[1], index);
                for row in self.keyed(0, self.key_of(0, index)) {
                    self.set(base, at, e_b + row[1]);
                    self.set(scales[0], at, row[2]);
                    self.set(scales[1], at, row[3]);
                    for row in self.keyed(1, self.key_of(1, index)) {
                        self.set(unit, at, row[2]);
                        if row[1] == self.value(out[2], index) && self.rounds(&round, out, at, index) {
                            return true;
                        }
                    }
                }
                false
            }
            FloatForm::Product { out, unit, round, .. } => {
                for row in self.keyed(0, self.key_of(0, index)) {
                    self.set(unit, at, row[2]);
                    if self.rounds(&round, out, at, index) {
                        return true;
                    }
                }
                false
            }
            FloatForm::Quotient { out, scale, round, .. } => {
                for row in self.keyed(0, self.key_of(0, index)) {
                    self.set(scale, at, row[2]);
                    if self.rounds(&round, out, at, index) {
                        return true;
                    }
                }
                false
            }
            FloatForm::Root { scale, .. } => {
                // Lookup 0 bounds the exponent, lookup 1 scales.
                for row in self.keyed(1, self.key_of(1, index)) {
                    self.set(scale, at, row[2]);
                    if self.satisfied(index) {
                        return true;
                    }
                }
                false
            }
            FloatForm::Squares { x, before, out, row: hints, parts, unit, round, .. } => {
                let (e_before, square) = (self.value(before[1], index), self.value(x[0], index).square());
                for row in self.keyed(0, self.key_of(0, index)) {
                    self.set(hints[0], at, e_before + row[1]);
                    for (&hint, &v) in hints[1..].iter().zip(&row[2..]) {
                        self.set(hint, at, v);
                    }
                    let shifted = row[4] * square + row[5] * self.value(before[0], index);
                    self.set(parts[0], at, square);
                    self.set(parts[1], at, shifted);
                    // The quotient and its neighbours; none further away leaves a remainder in range.
                    let q = signed(row[6]).max(1);
                    let quotient = signed(shifted).div_euclid(q);
                    for (h, lost) in (-2..=2).flat_map(|d| [(quotient + d, 0), (quotient + d, 1)]) {
                        self.set(parts[2], at, from_i64(h));
                        self.set(parts[3], at, from_i64(lost));
                        for row in self.keyed(1, self.key_of(1, index)) {
                            self.set(unit, at, row[2]);
                            if row[1] == self.value(out[2], index) && self.rounds(&round, out, at, index) {
                                return true;
                            }
                        }
                    }
                }
                false
            }
            FloatForm::Mean { out, row: hints, round, .. } => {
                for row in self.keyed(0, self.key_of(0, index)) {
                    for (&hint, &v) in hints.iter().zip(&row[2..]) {
                        self.set(hint, at, v);
                    }
                    if row[1] == self.value(out[2], index) && self.rounds(&round, out, at, index) {
                        return true;
                    }
                }
                false
            }
            FloatForm::Quantise { bounds, .. } => {
                let table = self.members[0].0;
                for row in self.tables[table].clone() {
                    self.set(bounds[0], at, row[2]);
                    self.set(bounds[1], at, row[3]);
                    if self.satisfied(index) {
                        return true;
                    }
                }
                false
            }
            FloatForm::Integers { .. } => panic!("not an operation of its own"),
        }
    }
}
