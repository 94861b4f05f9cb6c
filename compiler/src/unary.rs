//! Unary functions as tables of single-precision results: exact real mathematics (in double precision) rounded once.
//! ONNX Runtime's tables equal these.

use crate::error::CompileError;
use crate::graph::Node;

/// A supported unary function.
pub(crate) type Function = Box<dyn Fn(f32) -> f32>;

/// ONNX Runtime's single-precision exponential of a number that is not positive, operation by operation.
pub(crate) fn exponential(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    let m = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = m.mul_add(-1.428_606_8e-6, m.mul_add(-0.693_145_75, x));
    // 0x1.694p-10, 0x1.125edcp-7, 0x1.555b5ap-5, 0x1.55545p-3, 0x1.fffff6p-2, 1, 1
    let coefficients = [0x3ab4_a000, 0x3c09_2f6e, 0x3d2a_adad, 0x3e2a_aa28, 0x3eff_fffb, 0x3f80_0000, 0x3f80_0000];
    let p = coefficients.into_iter().map(f32::from_bits).fold(0.0, |p: f32, c| p.mul_add(r, c));
    (f64::from(p) * libm::exp2(f64::from(m))) as f32
}

/// The function of a node, if it is one of its first input alone. `clip` gives the bounds of Clip, `opset` selects
/// attribute forms.
pub(crate) fn function(node: &Node, clip: (f32, f32)) -> Result<Option<Function>, CompileError> {
    let wide = |f: fn(f64) -> f64| -> Function { Box::new(move |x| f(f64::from(x)) as f32) };
    Ok(Some(match node.op.as_str() {
        "Relu" => Box::new(|x: f32| x.max(0.0)),
        "Clip" => Box::new(move |x: f32| x.max(clip.0).min(clip.1)),
        "Neg" => Box::new(|x: f32| -x),
        "Abs" => Box::new(f32::abs),
        "Sqrt" => Box::new(|x: f32| libm::sqrtf(x)),
        "Sigmoid" | "com.microsoft.QLinearSigmoid" => wide(|x| 1.0 / (1.0 + libm::exp(-x))),
        "Tanh" => wide(libm::tanh),
        "Exp" => wide(libm::exp),
        "Erf" => wide(libm::erf),
        "Softplus" => wide(|x| x.max(0.0) + libm::log1p(libm::exp(-x.abs()))),
        "LeakyRelu" | "com.microsoft.QLinearLeakyRelu" => {
            let alpha = node.float("alpha", 0.01)?;
            Box::new(move |x: f32| if x >= 0.0 { x } else { alpha * x })
        }
        "Elu" => {
            let alpha = f64::from(node.float("alpha", 1.0)?);
            Box::new(move |x: f32| if x >= 0.0 { x } else { (alpha * libm::expm1(f64::from(x))) as f32 })
        }
        "HardSigmoid" => {
            let (alpha, beta) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
            Box::new(move |x: f32| (alpha * x + beta).clamp(0.0, 1.0))
        }
        "HardSwish" => Box::new(|x: f32| x * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)),
        "Gelu" | "com.microsoft.Gelu" => match node.text("approximate", "none")? {
            "none" => wide(|x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))),
            "tanh" => wide(|x| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + libm::tanh(inner))
            }),
            other => return Err(node.bad_attribute("approximate", format!("unknown value `{other}`"))),
        },
        _ => return Ok(None),
    }))
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
                .map(|c| quantise(f(dequantise(c, &input)), &output).expect("a number") + output.zero_point)
                .map(i64::from)
                .collect();
            let want: Vec<i64> = case["table"].as_array().expect("table").iter().filter_map(Value::as_i64).collect();
            assert_eq!(table, want, "{}", node.op);
        }
        assert_eq!(cases.len(), 72);
    }
}
