//! The float boundary: QuantizeLinear at graph inputs and DequantizeLinear at graph outputs, bit for bit as
//! ONNX Runtime's CPU kernels compute them.

use crate::ops::float;
use crate::program::{IntType, Quantisation};

/// Rounds half to even; exact for `|v| < 2^22`.
pub fn round_half_even(v: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23
    if v.abs() < 4_194_304.0 { (v + MAGIC) - MAGIC } else { v }
}

/// Quantises one float to a *centred* integer: `rne(clamp(x / scale, lo, hi))`. `None` for NaN. A float tensor holds the
/// bits of its elements.
pub fn quantise(x: f32, q: &Quantisation) -> Option<i32> {
    if x.is_nan() {
        return None;
    }
    if q.int_type == IntType::F32 {
        return Some(float::to_bits(x));
    }
    let v = x / q.scale();
    if v.is_nan() {
        return None;
    }
    let v = v.max(q.lo() as f32).min(q.hi() as f32);
    Some(round_half_even(v) as i32)
}

/// Dequantises one centred integer: `f32(centred) * scale`; an element of a float tensor is its own bits.
pub fn dequantise(centred: i32, q: &Quantisation) -> f32 {
    if q.int_type == IntType::F32 {
        return float::from_bits(centred);
    }
    centred as f32 * q.scale()
}
