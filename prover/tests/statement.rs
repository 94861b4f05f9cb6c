//! A proof is about one statement under one key: any other input, output, context or model is refused.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use common::honest::{CONTEXT, Honest, decode, encode};
use vinfer_circuits::ops::{AddForm, Operand, Requant};
use vinfer_circuits::program::{IntType, Op, Program};
use vinfer_circuits::statement::{KeyError, Statement};
use vinfer_prover::{prove, prove_witness, setup};
use vinfer_verifier::{Expected, PreparedKey, RejectReason, VerifyError};

const MODEL: &str = "digits_cnn_int8";

fn honest() -> Honest {
    let program = common::program(MODEL);
    Honest::new(&program, common::inputs(MODEL, &program, 0))
}

/// The first check that a changed transcript fails: layer 0 binds its children to the root for any challenge.
const OTHER_CHALLENGES: VerifyError = VerifyError::Rejected(RejectReason::LogupLayer { layer: 1 });

/// A mutation of a statement.
type Change<'a> = &'a dyn Fn(&mut Statement);

#[test]
fn every_input_and_output_element() {
    let honest = honest();
    let proof = honest.proof();
    assert!(honest.verifier.verify(&encode(&honest.statement, &proof), &Expected::default()).is_ok());
    let tensors = |s: &Statement| [s.inputs.len(), s.outputs.len()];
    for (side, count) in tensors(&honest.statement).into_iter().enumerate() {
        for port in 0..count {
            let len = [&honest.statement.inputs, &honest.statement.outputs][side][port].len();
            for at in 0..len {
                for bit in [0, 7] {
                    let mut statement = honest.statement.clone();
                    [&mut statement.inputs, &mut statement.outputs][side][port][at] ^= 1 << bit;
                    let result = honest.verifier.verify(&encode(&statement, &proof), &Expected::default());
                    assert_eq!(result, Err(OTHER_CHALLENGES), "side {side} port {port} element {at}");
                }
            }
        }
    }
}

#[test]
fn context_and_key_digest() {
    let honest = honest();
    let proof = honest.proof();
    for at in 0..32 {
        let mut statement = honest.statement.clone();
        statement.context[at] ^= 1;
        let result = honest.verifier.verify(&encode(&statement, &proof), &Expected::default());
        assert_eq!(result, Err(OTHER_CHALLENGES));
        let mut statement = honest.statement.clone();
        statement.key_digest[at] ^= 0x80;
        let result = honest.verifier.verify(&encode(&statement, &proof), &Expected::default());
        assert_eq!(result, Err(VerifyError::WrongKey));
        assert!(honest.verifier.verify_proof(&statement, &proof).is_err());
    }
}

#[test]
fn statements_that_do_not_fit_the_key() {
    // Even with a proof made for the statement as it is.
    let honest = honest();
    let changes: [Change<'_>; 5] = [
        &|s| s.key_digest = [9; 32],
        &|s| s.inputs.push(vec![1, 2, 3]),
        &|s| s.outputs.push(Vec::new()),
        &|s| s.inputs.clear(),
        &|s| drop(s.outputs.pop()),
    ];
    for change in changes {
        let mut statement = honest.statement.clone();
        change(&mut statement);
        assert_eq!(honest.judge(&statement, &honest.witness), Err(RejectReason::Shape));
    }
}

#[test]
fn ports_of_the_wrong_length() {
    let honest = honest();
    let proof = honest.proof();
    let changes: [(usize, Change<'_>); 4] = [
        (0, &|s| drop(s.inputs[0].split_off(1))),
        (0, &|s| s.inputs[0].push(0)),
        (1, &|s| s.outputs[0].clear()),
        (1, &|s| s.outputs[0].push(0)),
    ];
    for (port, change) in changes {
        let mut statement = honest.statement.clone();
        change(&mut statement);
        let result = honest.verifier.verify_proof(&statement, &proof);
        assert_eq!(result, Err(RejectReason::PublicTensor { port }));
    }
}

#[test]
fn expectations() {
    let honest = honest();
    let file = encode(&honest.statement, &honest.proof());
    let verify = |expected: &Expected| honest.verifier.verify(&file, expected).map(|_| ());
    let (inputs, outputs) = (honest.inputs.clone(), honest.outputs.clone());
    let good = Expected { inputs: Some(inputs), outputs: Some(outputs), context: Some(CONTEXT) };
    assert_eq!(verify(&good), Ok(()));
    let toggled = |tensors: &Option<Vec<Vec<i32>>>, at: usize| {
        let mut tensors = tensors.clone().unwrap();
        let v = &mut tensors[0][at];
        *v += if *v > 0 { -1 } else { 1 };
        Some(tensors)
    };
    for at in 0..honest.inputs[0].len() {
        let expected = Expected { inputs: toggled(&good.inputs, at), ..good.clone() };
        assert_eq!(verify(&expected), Err(RejectReason::InputMismatch.into()));
    }
    for at in 0..honest.outputs[0].len() {
        let expected = Expected { outputs: toggled(&good.outputs, at), ..good.clone() };
        assert_eq!(verify(&expected), Err(RejectReason::OutputMismatch.into()));
    }
    let expected = Expected { context: Some([8; 32]), ..good.clone() };
    assert_eq!(verify(&expected), Err(RejectReason::ContextMismatch.into()));
    // Tensors that are none of this model's.
    let shape = |tensors: Vec<Vec<i32>>| [tensors.clone(), tensors];
    let mut short = honest.inputs.clone();
    short[0].pop();
    let mut huge = honest.inputs.clone();
    huge[0][0] = 1 << 20;
    let mut wraps = honest.inputs.clone();
    wraps[0][0] += 256;
    let mut overflow = honest.inputs.clone();
    overflow[0][0] = i32::MAX;
    for tensors in [Vec::new(), short, huge, wraps, overflow] {
        let [inputs, outputs] = shape(tensors);
        let expected = Expected { inputs: Some(inputs), ..good.clone() };
        assert_eq!(verify(&expected), Err(VerifyError::Expectation { what: "input" }));
        let expected = Expected { outputs: Some(outputs), ..good.clone() };
        assert_eq!(verify(&expected), Err(VerifyError::Expectation { what: "output" }));
    }
}

#[test]
fn proofs_of_another_model() {
    let honest = honest();
    let file = encode(&honest.statement, &honest.proof());
    for other in ["digits_cnn_qop_int8", "digits_mlp_int8", "iris_mlp_int8"] {
        let program = common::program(other);
        let (key, vk) = setup(&program).unwrap();
        let prepared = PreparedKey::from_bytes(&vk).unwrap();
        assert_eq!(prepared.verify(&file, &Expected::default()), Err(VerifyError::WrongKey));
        let proved = prove(&key, &common::inputs(other, &program, 0), CONTEXT).unwrap();
        assert_eq!(honest.verifier.verify(&proved.proof, &Expected::default()), Err(VerifyError::WrongKey));
    }
}

/// All programs that differ from `program` in exactly one constant: one of each kind in each operation and value.
fn neighbours(program: &Program) -> Vec<(String, Program)> {
    let mut out = Vec::new();
    let mut push = |what: String, change: &dyn Fn(&mut Program)| {
        let mut changed = program.clone();
        change(&mut changed);
        assert_ne!(&changed, program, "{what}");
        out.push((what, changed));
    };
    for index in 0..program.values.len() {
        push(format!("value {index}: scale"), &|p| p.values[index].quantisation.scale_bits ^= 1);
        push(format!("value {index}: zero point"), &|p| {
            let q = &mut p.values[index].quantisation;
            q.zero_point += if q.zero_point < q.int_type.max() { 1 } else { -1 };
        });
        push(format!("value {index}: type"), &|p| {
            let q = &mut p.values[index].quantisation;
            let offset = if q.int_type == IntType::U8 { -128 } else { 128 };
            q.int_type = if q.int_type == IntType::U8 { IntType::I8 } else { IntType::U8 };
            q.zero_point += offset;
        });
    }
    let requant = |r: &mut Requant, field: usize| match (r, field) {
        (Requant::Line { multiplier, .. } | Requant::Parity { multiplier, .. }, 0) => *multiplier += 1,
        (Requant::Line { offset, .. } | Requant::Parity { offset, .. }, 1) => *offset ^= 1,
        (Requant::Line { shift, .. }, _) => *shift ^= 1,
        (Requant::Parity { odd_delta, .. }, _) => *odd_delta = -*odd_delta,
        (Requant::Table { thresholds }, n) => {
            let at = (n + 1) * thresholds.len() / 4;
            let (low, high) = (thresholds[at - 1], thresholds[at + 1]);
            thresholds[at] = if thresholds[at] < high { thresholds[at] + 1 } else { low };
        }
        (Requant::Exact, _) => {}
    };
    let table = |t: &mut Vec<i32>| {
        let (first, last) = (t[0], t.len() - 1);
        let other = t.iter().position(|&v| v != first).unwrap_or(last);
        t.swap(0, other);
    };
    for index in 0..program.ops.len() {
        match &program.ops[index] {
            Op::Contract(c) => {
                for at in [0, c.weights.len() / 2, c.weights.len() - 1] {
                    push(format!("op {index}: weight {at}"), &|p| {
                        let Op::Contract(c) = &mut p.ops[index] else { unreachable!() };
                        c.weights[at] += if c.weights[at] > 0 { -1 } else { 1 };
                    });
                }
                for channel in 0..c.out_channels as usize {
                    push(format!("op {index}: bias {channel}"), &|p| {
                        let Op::Contract(c) = &mut p.ops[index] else { unreachable!() };
                        c.bias[channel] += 1;
                    });
                    for field in 0..3 {
                        push(format!("op {index}: requant {channel}.{field}"), &|p| {
                            let Op::Contract(c) = &mut p.ops[index] else { unreachable!() };
                            requant(&mut c.requant[channel], field);
                        });
                    }
                }
            }
            Op::Sum(_) => {
                for field in 0..3 {
                    push(format!("op {index}: requant {field}"), &|p| {
                        let Op::Sum(s) = &mut p.ops[index] else { unreachable!() };
                        requant(&mut s.requant, field);
                    });
                }
            }
            Op::Add(a) => {
                push(format!("op {index}: add"), &|p| {
                    let Op::Add(a) = &mut p.ops[index] else { unreachable!() };
                    match &mut a.form {
                        AddForm::Line { multiplier_b, .. } => *multiplier_b += 1,
                        AddForm::Table { table: t } => table(t),
                        AddForm::Exact { offset, .. } => *offset += 1,
                    }
                });
                if let Operand::Constant { .. } = a.b {
                    push(format!("op {index}: add constant"), &|p| {
                        let Op::Add(a) = &mut p.ops[index] else { unreachable!() };
                        let Operand::Constant { data, hi, .. } = &mut a.b else { unreachable!() };
                        data[0] += if data[0] < *hi { 1 } else { -1 };
                    });
                }
            }
            Op::Lookup(_) => push(format!("op {index}: table"), &|p| {
                let Op::Lookup(l) = &mut p.ops[index] else { unreachable!() };
                table(&mut l.table);
            }),
            _ => {}
        }
    }
    out
}

#[test]
fn one_changed_constant_of_the_model() {
    let mut programs = tiny::programs::all(31);
    programs.push((MODEL, common::program(MODEL)));
    let (mut keys, mut refused) = (0, 0);
    for (name, program) in programs {
        let inputs = match name {
            MODEL => common::inputs(MODEL, &program, 0),
            _ => tiny::programs::inputs(&program, 1),
        };
        let honest = Honest::new(&program, inputs);
        let proof = honest.proof();
        let file = encode(&honest.statement, &proof);
        for (what, changed) in neighbours(&program) {
            // Some neighbours break a rule of programs (a centred range that a table or pool relies on).
            let Ok((_, vk)) = setup(&changed) else {
                refused += 1;
                continue;
            };
            keys += 1;
            let other = PreparedKey::from_bytes(&vk).unwrap();
            assert_ne!(other.digest(), honest.verifier.digest(), "{name}: {what}");
            assert_eq!(other.verify(&file, &Expected::default()), Err(VerifyError::WrongKey), "{name}: {what}");
            // The same proof, relabelled for the other key.
            let mut statement = honest.statement.clone();
            statement.key_digest = other.digest();
            let relabelled = other.verify(&encode(&statement, &proof), &Expected::default());
            assert!(relabelled.is_err(), "{name}: {what}");
        }
    }
    assert!(keys > 400 && refused < keys / 2, "{keys} keys, {refused} refused");
}

#[test]
fn equal_systems_with_different_constants_do_not_share_witnesses() {
    // The witness of one model under the key of a model with one other weight: only the contraction can tell.
    let program = common::program(MODEL);
    let mut changed = program.clone();
    let Op::Contract(c) = &mut changed.ops[0] else { panic!("first operation") };
    c.weights[0] += if c.weights[0] > 0 { -1 } else { 1 };
    let inputs = common::inputs(MODEL, &program, 0);
    let (one, other) = (Honest::new(&program, inputs.clone()), Honest::new(&changed, inputs));
    let mut statement = one.statement.clone();
    statement.key_digest = other.verifier.digest();
    assert_eq!(one.verifier.key().system, other.verifier.key().system);
    assert_ne!(one.verifier.key().constants_root, other.verifier.key().constants_root);
    let proof = prove_witness(&other.key, &statement, &one.witness);
    assert_eq!(other.verifier.verify_proof(&statement, &proof), Err(RejectReason::Contraction));
}

#[test]
fn another_version_or_magic() {
    let honest = honest();
    let mut vk = honest.vk.clone();
    vk[7] = b'1';
    assert_eq!(PreparedKey::from_bytes(&vk).unwrap_err(), KeyError::Magic);
    let mut file = encode(&honest.statement, &honest.proof());
    let (statement, proof) = decode(&honest.verifier, &file);
    assert_eq!((&statement, &proof), (&honest.statement, &honest.proof()));
    file[7] = b'1';
    let magic = vinfer_circuits::codec::DecodeError::Magic;
    assert_eq!(honest.verifier.verify(&file, &Expected::default()), Err(VerifyError::Proof(magic)));
}
