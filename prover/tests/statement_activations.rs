//! Every constant of the operations between activations is bound by the key: a model that differs in one constant has
//! another key, no proof fits both, and the witness of one is refused under the other.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use common::honest::{Honest, encode};
use vinfer_circuits::ops::{AxisIndices, ExtremumResult, FloatKind, Operand, PartSource, Requant};
use vinfer_circuits::program::{Op, Program};
use vinfer_prover::{prove_witness, setup};
use vinfer_verifier::{Expected, PreparedKey, RejectReason, VerifyError};

fn other_entry(table: &mut [u32]) {
    let at = table.iter().position(|&b| b != 0).unwrap();
    table[at] ^= 1;
}

fn requant(r: &mut Requant) {
    match r {
        Requant::Line { offset, .. } | Requant::Parity { offset, .. } => *offset ^= 1,
        Requant::Table { thresholds } => {
            let at = thresholds.len() / 2;
            let (low, high) = (thresholds[at - 1], thresholds[at + 1]);
            thresholds[at] = if thresholds[at] < high { thresholds[at] + 1 } else { low };
        }
        Requant::Exact => panic!("no constant"),
    }
}

fn operand(o: &mut Operand) -> bool {
    let Operand::Constant { data, .. } = o else { return false };
    data[0] ^= 1;
    true
}

/// Changes one constant of an operation; what it changed, if there is one.
fn change(op: &mut Op, kind: usize) -> Option<&'static str> {
    match (op, kind) {
        (Op::MatMul(m), 0) => requant(&mut m.requant),
        (Op::Multiply(m), 0) => requant(&mut m.requant),
        (Op::Multiply(m), 1) => return operand(&mut m.b).then_some("operand"),
        (Op::Arrange(a), 0) => {
            let PartSource::Value { indices, .. } = &mut a.parts[0].source else { return None };
            let index = indices.iter_mut().find_map(|i| match i {
                AxisIndices::Run { start, step } if *step < 0 && *start > 0 => Some((start, step)),
                _ => None,
            });
            let (start, step) = index?;
            (*start, *step) = (0, 1);
        }
        (Op::Arrange(a), 1) => {
            let constant = a.parts.iter_mut().find_map(|p| match &mut p.source {
                PartSource::Constant { data } => Some(data),
                PartSource::Value { .. } => None,
            });
            constant?[0] += 1;
        }
        (Op::Arrange(a), 2) => {
            // Two parts of equal size change places.
            let twin = (1..a.parts.len()).find(|&i| a.parts[i].shape == a.parts[i - 1].shape)?;
            let at = a.parts[twin].at.clone();
            a.parts[twin].at = core::mem::replace(&mut a.parts[twin - 1].at, at);
        }
        (Op::Extremum(e), 0) => e.least = !e.least,
        (Op::Extremum(e), 1) => {
            e.result = match e.result {
                ExtremumResult::FirstIndex => ExtremumResult::LastIndex,
                ExtremumResult::LastIndex => ExtremumResult::FirstIndex,
                ExtremumResult::Value => return None,
            }
        }
        (Op::Embed(e), 0) => {
            let at = e.table.iter().position(|&v| v != e.table[0])?;
            e.table.swap(0, at);
        }
        (Op::Float(f), _) => match (&mut f.kind, kind) {
            (FloatKind::Table { table, .. } | FloatKind::Mean { table, .. }, 0) => other_entry(table),
            (FloatKind::Mean { count, .. }, 1) => *count += 1,
            (FloatKind::Add { subtract, .. }, 0) => *subtract = !*subtract,
            (FloatKind::Add { a, b, .. } | FloatKind::Multiply { a, b } | FloatKind::Divide { a, b }, 1) => {
                return (operand(a) || operand(b)).then_some("operand");
            }
            (FloatKind::Quantise { thresholds, .. }, 0) => thresholds[0][0] -= 1,
            (FloatKind::Quantise { thresholds, .. }, 1) => *thresholds.last_mut().unwrap().last_mut().unwrap() += 1,
            _ => return None,
        },
        _ => return None,
    }
    Some("constant")
}

fn neighbours(program: &Program) -> Vec<(String, Program)> {
    let mut out = Vec::new();
    for index in 0..program.ops.len() {
        for kind in 0..3 {
            let mut changed = program.clone();
            if let Some(what) = change(&mut changed.ops[index], kind) {
                assert_ne!(&changed, program);
                out.push((format!("operation {index}: {what} {kind}"), changed));
            }
        }
    }
    out
}

#[test]
fn one_changed_constant() {
    let (mut keys, mut equal_systems) = (0, 0);
    for (name, program) in tiny::activations::all(61) {
        let honest = Honest::new(&program, tiny::programs::inputs(&program, 1));
        let proof = honest.proof();
        let file = encode(&honest.statement, &proof);
        for (what, changed) in neighbours(&program) {
            let what = format!("{name}: {what}");
            let (key, vk) = setup(&changed).unwrap_or_else(|e| panic!("{what}: {e}"));
            keys += 1;
            let other = PreparedKey::from_bytes(&vk).unwrap();
            assert_ne!(other.digest(), honest.verifier.digest(), "{what}");
            assert_eq!(other.verify(&file, &Expected::default()), Err(VerifyError::WrongKey), "{what}");
            // The same proof, relabelled for the other key.
            let mut statement = honest.statement.clone();
            statement.key_digest = other.digest();
            let relabelled = other.verify(&encode(&statement, &proof), &Expected::default());
            assert!(matches!(relabelled, Err(VerifyError::Rejected(_) | VerifyError::Proof(_))), "{what}");
            // The function of the other system is another one, or its constants are.
            let (one, two) = (honest.verifier.key(), other.key());
            assert!(one.system != two.system || one.constants_root != two.constants_root, "{what}: same relations");
            if one.system == two.system {
                // The witness of one under the key of the other: a lookup, a sum or an opened constant differs.
                equal_systems += 1;
                let proof = prove_witness(&key, &statement, &honest.witness);
                match other.verify_proof(&statement, &proof) {
                    // A table row, weight or threshold that this input never meets.
                    Ok(_) => assert!(Honest::new(&changed, honest.inputs.clone()).outputs == honest.outputs, "{what}"),
                    Err(RejectReason::LogupRoot | RejectReason::Contraction | RejectReason::LogupLayer { .. }) => {}
                    Err(other) => panic!("{what}: {other:?}"),
                }
            }
        }
    }
    assert!(keys > 40 && equal_systems > 10, "{keys} keys, {equal_systems} with equal systems");
}

#[test]
fn one_flipped_weight_in_each_layer() {
    let model = "digits_cnn_int8";
    let program = common::program(model);
    let inputs = common::inputs(model, &program, 0);
    let honest = Honest::new(&program, inputs);
    let layers: Vec<usize> = (0..program.ops.len()).filter(|&i| matches!(program.ops[i], Op::Contract(_))).collect();
    assert!(layers.len() >= 2);
    for layer in layers {
        let mut changed = program.clone();
        let Op::Contract(c) = &mut changed.ops[layer] else { unreachable!() };
        let at = c.weights.iter().position(|&w| w != 0).unwrap();
        c.weights[at] = -c.weights[at];
        let Ok((key, vk)) = setup(&changed) else { panic!("layer {layer}") };
        let other = PreparedKey::from_bytes(&vk).unwrap();
        let mut statement = honest.statement.clone();
        statement.key_digest = other.digest();
        if other.key().system == honest.verifier.key().system {
            let proof = prove_witness(&key, &statement, &honest.witness);
            let result = other.verify_proof(&statement, &proof);
            assert_eq!(result, Err(RejectReason::Contraction), "layer {layer}");
        }
    }
}
