//! Unary functions as tables of single-precision results. Where the bits of ONNX Runtime's results are known they are
//! replayed operation by operation (`polynomials`); elsewhere exact real mathematics (in double precision) is rounded
//! once, which equals the runtime's tables after quantisation to 8 bits.

mod polynomials;

use crate::error::CompileError;
use crate::graph::Node;
pub(crate) use polynomials::exponential;
use polynomials::{erf, gelu, gelu_tanh, logistic, tanh};

/// A supported unary function.
pub(crate) struct Unary {
    pub(crate) apply: Box<dyn Fn(f32) -> f32>,
    /// Whether the results equal the runtime's to the last bit, not only after quantisation to 8 bits.
    pub(crate) exact: bool,
}

/// The function of a node, if it is one of its first input alone. `clip` gives the bounds of Clip, `opset` selects
/// attribute forms.
pub(crate) fn function(node: &Node, clip: (f32, f32)) -> Result<Option<Unary>, CompileError> {
    let exactly = |f: fn(f32) -> f32| Unary { apply: Box::new(f), exact: true };
    let rounded = |f: fn(f64) -> f64| Unary { apply: Box::new(move |x| f(f64::from(x)) as f32), exact: false };
    let own = |apply: Box<dyn Fn(f32) -> f32>, exact| Unary { apply, exact };
    Ok(Some(match node.op.as_str() {
        "Relu" => exactly(|x| x.max(0.0)),
        "Clip" => own(Box::new(move |x: f32| x.max(clip.0).min(clip.1)), true),
        "Neg" => exactly(|x| -x),
        "Abs" => exactly(f32::abs),
        "Sqrt" => exactly(libm::sqrtf),
        "Reciprocal" => exactly(|x| 1.0 / x),
        "Floor" => exactly(f32::floor),
        "Ceil" => exactly(f32::ceil),
        "Round" => exactly(f32::round_ties_even),
        "Sign" => exactly(|x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }),
        "Softsign" => exactly(|x| x * (1.0 / (1.0 + x.abs()))),
        "Sigmoid" | "com.microsoft.QLinearSigmoid" => exactly(logistic),
        "Tanh" => exactly(tanh),
        "Exp" => exactly(exponential),
        "Erf" => exactly(erf),
        "com.microsoft.QuickGelu" => {
            let alpha = node.float("alpha", 1.702)?;
            own(Box::new(move |x| x * logistic(alpha * x)), true)
        }
        "Log" => rounded(libm::log),
        "Sin" => rounded(libm::sin),
        "Cos" => rounded(libm::cos),
        "Softplus" => rounded(softplus),
        "Mish" => rounded(|x| x * libm::tanh(softplus(x))),
        "LeakyRelu" | "com.microsoft.QLinearLeakyRelu" => {
            let alpha = node.float("alpha", 0.01)?;
            own(Box::new(move |x: f32| if x >= 0.0 { x } else { alpha * x }), true)
        }
        "ThresholdedRelu" => {
            let alpha = node.float("alpha", 1.0)?;
            own(Box::new(move |x: f32| if x > alpha { x } else { 0.0 }), true)
        }
        "Elu" => {
            let alpha = f64::from(node.float("alpha", 1.0)?);
            own(Box::new(move |x: f32| if x >= 0.0 { x } else { (alpha * libm::expm1(f64::from(x))) as f32 }), false)
        }
        "Celu" => {
            let alpha = f64::from(node.float("alpha", 1.0)?);
            let below = move |x: f32| (alpha * libm::expm1(f64::from(x) / alpha)) as f32;
            own(Box::new(move |x: f32| if x >= 0.0 { x } else { below(x) }), false)
        }
        "Selu" => {
            let alpha = f64::from(node.float("alpha", 1.673_263_2)?);
            let gamma = f64::from(node.float("gamma", 1.050_701)?);
            let f = move |x: f64| if x > 0.0 { gamma * x } else { gamma * alpha * libm::expm1(x) };
            own(Box::new(move |x| f(f64::from(x)) as f32), false)
        }
        "HardSigmoid" => {
            let (alpha, beta) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
            own(Box::new(move |x: f32| (alpha * x + beta).clamp(0.0, 1.0)), true)
        }
        "HardSwish" => exactly(|x| x * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)),
        "Swish" => {
            let alpha = node.float("alpha", 1.0)?;
            own(Box::new(move |x: f32| x * logistic(alpha * x)), true)
        }
        "Gelu" | "com.microsoft.Gelu" => match node.text("approximate", "none")? {
            "none" => exactly(gelu),
            "tanh" => exactly(gelu_tanh),
            other => return Err(node.bad_attribute("approximate", format!("unknown value `{other}`"))),
        },
        _ => return Ok(None),
    }))
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;
    use vinfer_circuits::boundary::{dequantise, quantise};
    use vinfer_circuits::program::{IntType, Quantisation};

    use super::*;
    use crate::graph::Attribute;

    /// ONNX Runtime's own tables, for random parameters.
    #[test]
    fn tables_equal_the_runtime() {
        let text = include_str!("../tests/vectors/lut.json");
        let cases: Vec<Value> = serde_json::from_str(text).expect("json");
        for case in &cases {
            let number = |key: &str| case[key].as_i64().expect("integer");
            let int_type = if case["dtype"] == "uint8" { IntType::U8 } else { IntType::I8 };
            let q = |s: &str, z: &str| Quantisation {
                scale_bits: number(s) as u32,
                zero_point: number(z) as i32,
                int_type,
            };
            let (input, output) = (q("sx", "zx"), q("sy", "zy"));
            let attributes: BTreeMap<String, Attribute> = case["attrs"]
                .as_object()
                .expect("object")
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => (key.clone(), Attribute::Text(text.clone())),
                    value => (key.clone(), Attribute::Float(value.as_f64().expect("float") as f32)),
                })
                .collect();
            let op = case["op"].as_str().expect("operator").to_owned();
            let node = Node { name: op.clone(), op, inputs: vec![], outputs: vec![], attributes };
            let f = function(&node, (0.0, 0.0)).expect("attributes").expect("supported");
            let table: Vec<i64> = (input.lo()..=input.hi())
                .map(|c| quantise((f.apply)(dequantise(c, &input)), &output).expect("a number") + output.zero_point)
                .map(i64::from)
                .collect();
            let want: Vec<i64> = case["table"].as_array().expect("table").iter().filter_map(Value::as_i64).collect();
            assert_eq!(table, want, "{}", node.op);
        }
        assert_eq!(cases.len(), 72);
    }
}
