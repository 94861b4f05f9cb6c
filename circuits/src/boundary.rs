//! The float boundary: QuantizeLinear at graph inputs and DequantizeLinear at graph outputs, bit for bit as
//! ONNX Runtime's CPU kernels compute them.

use crate::program::Quantisation;

/// Rounds half to even; exact for `|v| < 2^22`.
pub fn round_half_even(v: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23
    if v.abs() < 4_194_304.0 { (v + MAGIC) - MAGIC } else { v }
}

/// Quantises one float to a *centred* integer: `rne(clamp(x / scale, lo, hi))`. `None` for NaN.
pub fn quantise(x: f32, q: &Quantisation) -> Option<i32> {
    if x.is_nan() {
        return None;
    }
    let v = x / q.scale();
    if v.is_nan() {
        return None;
    }
    let v = v.max(q.lo() as f32).min(q.hi() as f32);
    Some(round_half_even(v) as i32)
}

/// Dequantises one centred integer: `f32(centred) * scale`.
pub fn dequantise(centred: i32, q: &Quantisation) -> f32 {
    centred as f32 * q.scale()
}
