//! The floating-point semantics that every solved form must reproduce bit for bit.

use vinfer_circuits::program::IntType;

/// ONNX Runtime's requantisation, centred: `clamp(rne(f32(f32(acc) * scale)), lo, hi)`.
///
/// `acc` is an int32 accumulator; its conversion to `f32` rounds to nearest even beyond 2^24.
pub fn requant_reference(acc: i64, scale: f32, lo: i32, hi: i32) -> i32 {
    // `as i64` saturates, so products beyond the integers clamp correctly.
    let level = (acc as f32 * scale).round_ties_even() as i64;
    level.clamp(i64::from(lo), i64::from(hi)) as i32
}

/// Quantisation of a `QLinearAdd`: scales and raw zero points of both operands and of the result.
#[derive(Clone, Copy, Debug)]
pub struct AddScales {
    /// Scale of `a`.
    pub sa: f32,
    /// Zero point of `a`.
    pub za: i32,
    /// Scale of `b`.
    pub sb: f32,
    /// Zero point of `b`.
    pub zb: i32,
    /// Scale of the result.
    pub sc: f32,
    /// Zero point of the result.
    pub zc: i32,
    /// Type of the result; both operands have the same type.
    pub out: IntType,
    /// Whether the kernel runs with its operands exchanged, see [`add_is_swapped`].
    pub swapped: bool,
}

/// The fused kernel `fma(x, outer, fma(y, inner, constant))` on raw operands.
pub(super) struct AddKernel {
    outer: f32,
    outer_zero: i32,
    inner: f32,
    inner_zero: i32,
    constant: f32,
    result_zero: i32,
    out: IntType,
}

impl AddKernel {
    pub(super) fn new(scales: &AddScales) -> Self {
        let (a, b) = ((scales.sa / scales.sc, scales.za), (scales.sb / scales.sc, scales.zb));
        let ((outer, outer_zero), (inner, inner_zero)) = if scales.swapped { (b, a) } else { (a, b) };
        let zero = outer.mul_add(outer_zero as f32, inner * inner_zero as f32);
        let constant = scales.zc as f32 - zero;
        Self { outer, outer_zero, inner, inner_zero, constant, result_zero: scales.zc, out: scales.out }
    }

    /// The inner sum for the centred inner operand.
    pub(super) fn inner(&self, y: i32) -> f32 {
        ((y + self.inner_zero) as f32).mul_add(self.inner, self.constant)
    }

    /// The centred result for the centred outer operand, given the inner sum.
    pub(super) fn outer(&self, x: i32, inner: f32) -> i32 {
        let sum = ((x + self.outer_zero) as f32).mul_add(self.outer, inner).round_ties_even();
        // `as` saturates, so the clamp is that of the float value.
        (sum as i32).clamp(self.out.min(), self.out.max()) - self.result_zero
    }
}

/// Whether ONNX Runtime runs a `QLinearAdd` of these operand shapes (as in the model) with its operands exchanged.
///
/// It does so where the first operand is a single element per innermost broadcast span: on the last axis on which
/// either operand has more than one element, the first has just one. Two single elements also count. A compiler that
/// itself exchanges the operands negates the answer.
pub fn add_is_swapped(a_shape: &[u32], b_shape: &[u32]) -> bool {
    let dim = |shape: &[u32], from_end: usize| shape.iter().rev().nth(from_end).copied().unwrap_or(1);
    let rank = a_shape.len().max(b_shape.len());
    let innermost = (0..rank).find(|&axis| dim(a_shape, axis) != 1 || dim(b_shape, axis) != 1);
    innermost.is_none_or(|axis| dim(a_shape, axis) == 1)
}

/// `QLinearAdd` of ONNX Runtime on x86-64 with FMA, on centred operands; the result is centred too.
///
/// With raw operands and the ratios `ra = f32(sa/sc)`, `rb = f32(sb/sc)` the result is
/// `sat(rne(fma(a, ra, fma(b, rb, f32(zc - fma(ra, za, f32(rb*zb)))))))`. The runtime may call its kernel with the
/// operands exchanged, see [`add_is_swapped`]: then the same formula holds with `a` and `b` exchanged throughout.
pub fn add_reference(scales: &AddScales, a: i32, b: i32) -> i32 {
    let kernel = AddKernel::new(scales);
    let (outer, inner) = if scales.swapped { (b, a) } else { (a, b) };
    kernel.outer(outer, kernel.inner(inner))
}
