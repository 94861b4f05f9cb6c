//! The cheapest exact form of one `QLinearMul`.

use vinfer_circuits::ops::Requant;

use super::requant::Steps;
use super::thresholds::least;

/// `QLinearMul` of ONNX Runtime on the integer product `p` of centred operands, centred:
/// `clamp(rne(f32(f32(f32(p) * ratio) + zero_point))) - zero_point`.
///
/// The zero point is added before rounding. `lo..=hi` is the centred range of the result.
pub fn product_reference(p: i64, ratio: f32, zero_point: i32, lo: i32, hi: i32) -> i32 {
    let sum = p as f32 * ratio + zero_point as f32;
    let level = sum.round_ties_even() as i64 - i64::from(zero_point);
    level.clamp(i64::from(lo), i64::from(hi)) as i32
}

/// Finds the cheapest exact form of [`product_reference`] on every `p` in `min..=max`.
///
/// The function is monotone: conversion, multiplication by a positive number, addition and rounding all are.
pub fn solve_product(ratio: f32, zero_point: i32, lo: i32, hi: i32, min: i64, max: i64) -> Requant {
    let mut from = min;
    let thresholds = (lo + 1..=hi)
        .map(|level| {
            let guess = ((f64::from(level) - 0.5) / f64::from(ratio)).ceil() as i64;
            from = least(from, max + 1, guess, |p| product_reference(p, ratio, zero_point, lo, hi) >= level);
            from
        })
        .collect();
    Steps { lo, hi, min, max, thresholds }.solve(Requant::PARITY_DELTA_BITS)
}
