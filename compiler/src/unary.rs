//! Unary functions as tables of single-precision results: exact real mathematics (in double precision) rounded once.
//! ONNX Runtime's tables equal these.

use crate::error::CompileError;
use crate::graph::Node;

/// A supported unary function.
pub(crate) type Function = Box<dyn Fn(f32) -> f32>;

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
