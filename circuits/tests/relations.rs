//! The relations are exactly the integer semantics: at every position of every lookup instance of tiny programs that
//! cover each primitive, the only output for which some hints satisfy all lookups is the reference output.
//!
//! All hints are considered, and all arithmetic is done modulo p: a table row determines the remaining hint as one
//! field element, which limbs of T bits represent if and only if its canonical form is below 2^(number of limbs * T).
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::interpreter::{self, Columns, expression, indices, signed};
use common::programs;
use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::F;
use vinfer_circuits::field::from_i64;
use vinfer_circuits::lower::{Lowered, RequantForm, RequantStep, Step, lower};
use vinfer_circuits::ops::Operand;
use vinfer_circuits::program::{Op, Program};
use vinfer_circuits::system::{Expr, Instance, Source, System, TableRows};

/// Reference semantics of all operations.
fn evaluate(program: &Program, inputs: &[Vec<i32>]) -> Vec<Vec<i32>> {
    let mut trace = vec![Vec::new(); program.values.len()];
    for (port, data) in program.inputs.iter().zip(inputs) {
        trace[port.value as usize] = data.clone();
    }
    for op in &program.ops {
        let value = |id: u32| &program.values[id as usize];
        let output = value(op.output());
        let x = |id: u32| trace[id as usize].as_slice();
        trace[op.output() as usize] = match op {
            Op::Contract(c) => c.evaluate(x(c.input), value(c.input), output),
            Op::Sum(s) => s.evaluate(x(s.input), value(s.input), output),
            Op::Lookup(l) => l.evaluate(x(l.input), value(l.input)),
            Op::MaxPool(m) => m.evaluate(x(m.input), value(m.input), output),
            Op::Rewire(r) => r.evaluate(x(r.input), value(r.input), output),
            Op::Add(a) => match &a.b {
                Operand::Value(b) => {
                    let q = value(*b).quantisation;
                    a.evaluate(x(a.a), value(a.a), x(*b), &value(*b).shape, (q.lo(), q.hi()), output)
                }
                Operand::Constant { shape, data, lo, hi } => {
                    a.evaluate(x(a.a), value(a.a), data, shape, (*lo, *hi), output)
                }
            },
            _ => panic!("not an operation of these programs"),
        };
    }
    trace
}

/// Columns with constants and all values of the trace; hints are zero.
fn fill(lowered: &Lowered, trace: &[Vec<i32>]) -> Columns {
    let system = &lowered.system;
    let mut columns: Columns = system.columns.iter().map(|c| vec![F::ZERO; c.real_cells() as usize]).collect();
    for (column, cells) in &lowered.constants {
        columns[*column as usize].clone_from(cells);
    }
    for step in &lowered.plan {
        if let Step::Value { value, column, order, .. } = step {
            let dims = &system.columns[*column as usize].dims;
            let logical: Vec<u32> = order.iter().map(|&a| dims[a as usize]).collect();
            for (index, &v) in indices(&logical).iter().zip(&trace[*value as usize]) {
                let mut own = vec![0u32; dims.len()];
                order.iter().zip(index).for_each(|(&axis, &i)| own[axis as usize] = i);
                columns[*column as usize][interpreter::flat(dims, &own)] = from_i64(v.into());
            }
        }
    }
    columns
}

/// `v * 2^shift`, canonical.
fn scaled(v: F, shift: u32) -> u64 {
    (v * F::TWO.exp_u64(shift.into())).as_canonical_u64()
}

/// Checks that a column is looked up in a range table of `bits` bits; returns its source.
fn check_range(system: &System, inst: &Instance, column: u32, bits: u32) -> u16 {
    let source = |s: &Source| matches!(s, Source::Column { column: c, .. } if *c == column);
    let source = inst.sources.iter().position(source).unwrap() as u16;
    let plain = Expr { terms: vec![(1, source)], constant: 0, index_coefficient: 0 };
    let ranged = inst.lookups.iter().any(|l| {
        l.tuple == [plain.clone()] && system.tables[l.table as usize].rows == TableRows::Range { bits: bits as u8 }
    });
    assert!(ranged, "column {column} is not range checked");
    source
}

/// Checks that limb i is range checked and enters an expression with `-2^(bits i) / 2^shift`.
fn check_limbs(system: &System, inst: &Instance, expr: &Expr, limbs: &[u32], bits: u32, shift: u32) {
    for (i, &limb) in limbs.iter().enumerate() {
        let source = check_range(system, inst, limb, bits);
        let term = expr.terms.iter().find(|t| t.1 == source).unwrap();
        assert_eq!(F::from_u64(term.0) * F::from_u64(1 << shift), -F::from_u64(1 << (bits * i as u32)));
    }
}

/// All outputs for which hints exist at one position of a requantisation block.
fn feasible_requant(lowered: &Lowered, columns: &mut Columns, step: &RequantStep, index: &[u32]) -> BTreeSet<i64> {
    let system = &lowered.system;
    let inst = &system.instances[step.instance as usize];
    let value = |columns: &Columns, lookup: usize, component: usize| {
        expression(system, columns, inst, &inst.lookups[lookup].tuple[component], index)
    };
    let table = |lookup: usize| &system.tables[inst.lookups[lookup].table as usize].rows;
    let last = inst.lookups.len() - 1;
    let mut found = BTreeSet::new();
    match &step.form {
        RequantForm::Line { limbs, limb_bits, .. } => {
            let bits = u32::from(*limb_bits);
            let down = bits * limbs.len() as u32;
            let start = value(columns, last, 0);
            check_limbs(system, inst, &inst.lookups[last].tuple[0], limbs, bits, down);
            for row in interpreter::rows(columns, table(last)) {
                if scaled(start - row[0], down) < 1 << down {
                    found.insert(signed(row[1]));
                }
            }
        }
        RequantForm::Parity { shift, parity, limbs, slack, limb_bits, .. } => {
            let (bits, count) = (u32::from(*limb_bits), limbs.len() as u32);
            let shift = u32::from(*shift);
            let main = inst.lookups.iter().position(|l| l.tuple.len() == 3).unwrap();
            let low = bits * count.saturating_sub(2);
            let high_shift = if slack.is_some() { bits } else { 0 };
            check_limbs(system, inst, &inst.lookups[main].tuple[0], limbs, bits, shift);
            if let Some(slack) = slack {
                check_range(system, inst, *slack, bits);
            }
            for s in 0..2u64 {
                columns[*parity as usize].fill(F::from_u64(s));
                let (start, room) = (value(columns, main, 0), value(columns, last, 0));
                let parity = value(columns, main, 1);
                for row in interpreter::rows(columns, table(main)) {
                    let remainder = scaled(start - row[0], shift);
                    let in_limbs = u128::from(remainder) < 1u128 << (bits * count);
                    if row[1] != parity || !in_limbs {
                        continue;
                    }
                    let total = scaled(room, high_shift);
                    let left = F::from_u64(total) - F::from_u64(remainder >> low);
                    if left.as_canonical_u64() < 1 << (bits + high_shift) {
                        found.insert(signed(row[2]));
                    }
                }
            }
        }
        RequantForm::Exact => panic!("no exact form in these programs"),
        RequantForm::Table { .. } => {
            let TableRows::Range { bits } = table(1) else { panic!("distance to the start is not range checked") };
            assert_eq!(table(1), table(2));
            let channel = value(columns, 0, 0);
            let (above, below) = (value(columns, 1, 0), value(columns, 2, 0));
            for row in interpreter::rows(columns, table(0)) {
                let distances = [above - row[2], below + row[3]];
                if row[0] == channel && distances.iter().all(|d| d.as_canonical_u64() < 1 << bits) {
                    found.insert(signed(row[1]));
                }
            }
        }
    }
    found
}

/// All values of source `y` that satisfy a lookup `(key, c + y)` whose key does not depend on it.
fn feasible_function(lowered: &Lowered, columns: &Columns, instance: usize, y: F, index: &[u32]) -> BTreeSet<i64> {
    let system = &lowered.system;
    let inst = &system.instances[instance];
    let [lookup] = inst.lookups.as_slice() else { panic!("one lookup") };
    let value = |component: usize| expression(system, columns, inst, &lookup.tuple[component], index);
    let rows = interpreter::rows(columns, &system.tables[lookup.table as usize].rows);
    let key = value(0);
    rows.iter().filter(|row| row[0] == key).map(|row| signed(row[1] - value(1) + y)).collect()
}

/// Checks every position of every instance; returns how many.
fn check(name: &str, program: &Program, inputs: &[Vec<i32>]) -> usize {
    let lowered = lower(program).unwrap();
    let trace = evaluate(program, inputs);
    let mut columns = fill(&lowered, &trace);
    let mut positions = 0;
    let mut seen = BTreeSet::new();
    for step in &lowered.plan {
        if let Step::Max { instance, column: Some(column) } = step {
            let inst = &lowered.system.instances[*instance as usize];
            let dims = inst.dims.clone();
            for index in indices(&dims) {
                let found = feasible_function(&lowered, &columns, *instance as usize, F::ZERO, &index);
                assert_eq!(found.len(), 1, "{name}: intermediate maximum at {index:?}: {found:?}");
                let at = interpreter::flat(&dims, &index);
                columns[*column as usize][at] = from_i64(*found.first().unwrap());
                positions += 1;
            }
            seen.insert(*instance as usize);
        }
    }
    for step in &lowered.plan {
        let Step::Requant(step) = step else { continue };
        let inst = &lowered.system.instances[step.instance as usize];
        // The result is read by the only source that the last component of the first wide lookup names.
        let wide = inst.lookups.iter().find(|l| l.tuple.len() > 1).unwrap();
        let component = if wide.tuple.len() == 4 { 1 } else { wide.tuple.len() - 1 };
        for index in indices(&inst.dims) {
            let y = signed(expression(&lowered.system, &columns, inst, &wide.tuple[component], &index));
            let found = feasible_requant(&lowered, &mut columns, step, &index);
            assert_eq!(found, BTreeSet::from([y]), "{name}: instance {} at {index:?}", step.instance);
            positions += 1;
        }
        seen.insert(step.instance as usize);
    }
    for (instance, inst) in lowered.system.instances.iter().enumerate().filter(|(i, _)| !seen.contains(i)) {
        // Lookup, Add TABLE and the last maximum: the reference value is in place, so c + y is the whole component.
        for index in indices(&inst.dims) {
            let found = feasible_function(&lowered, &columns, instance, F::ZERO, &index);
            assert_eq!(found, BTreeSet::from([0]), "{name}: instance {instance} at {index:?}");
            positions += 1;
        }
    }
    positions
}

#[test]
fn only_the_reference_output_has_hints() {
    let mut positions = 0;
    for seed in 1..=6 {
        for (name, program) in programs::all(seed) {
            for sample in 0..2 {
                positions += check(name, &program, &programs::inputs(&program, seed * 100 + sample));
            }
        }
    }
    assert!(positions > 3000, "{positions} positions");
}

#[test]
fn programs_cover_every_form_and_instance() {
    let (mut line, mut parity, mut table, mut max) = (0, 0, 0, 0);
    for (name, program) in programs::all(1) {
        let lowered = lower(&program).unwrap();
        assert_eq!(lowered.instances_of_op.len(), program.ops.len(), "{name}");
        for step in &lowered.plan {
            match step {
                Step::Requant(RequantStep { form: RequantForm::Line { .. }, .. }) => line += 1,
                Step::Requant(RequantStep { form: RequantForm::Parity { .. }, .. }) => parity += 1,
                Step::Requant(RequantStep { form: RequantForm::Table { .. }, .. }) => table += 1,
                Step::Max { .. } => max += 1,
                _ => {}
            }
        }
    }
    assert!(line >= 6 && parity >= 5 && table >= 4 && max >= 6, "{line} {parity} {table} {max}");
}
