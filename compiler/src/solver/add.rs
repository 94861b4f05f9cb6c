//! The cheapest exact form of one `QLinearAdd`.

use vinfer_circuits::ops::AddForm;
use vinfer_circuits::program::IntType;

use super::reference::{AddKernel, AddScales};

/// Finds the cheapest exact form of `QLinearAdd` (see [`add_reference`](super::add_reference)) on every pair of
/// centred operands in `a_range` and `b_range` (inclusive).
///
/// Zero points are raw; the result is centred and clamped to the type `out`. `swapped` selects the kernel with
/// exchanged operands, see [`add_reference`](super::add_reference).
#[expect(clippy::too_many_arguments, reason = "the parameters of one ONNX node, in ONNX order")]
pub fn solve_add(
    sa: f32,
    za: i32,
    sb: f32,
    zb: i32,
    sc: f32,
    zc: i32,
    out: IntType,
    swapped: bool,
    a_range: (i32, i32),
    b_range: (i32, i32),
) -> AddForm {
    let scales = AddScales { sa, za, sb, zb, sc, zc, out, swapped };
    AddForm::Table { table: results(&scales, a_range, b_range) }
}

/// All results, `a` outermost.
fn results(scales: &AddScales, a_range: (i32, i32), b_range: (i32, i32)) -> Vec<i16> {
    let kernel = AddKernel::new(scales);
    let (a_values, b_values) = (a_range.0..=a_range.1, b_range.0..=b_range.1);
    if scales.swapped {
        let result = |inner: f32| b_values.clone().map(move |b| (b, inner));
        a_values.flat_map(|a| result(kernel.inner(a))).map(|(b, inner)| kernel.outer(b, inner) as i16).collect()
    } else {
        let inner: Vec<f32> = b_values.map(|b| kernel.inner(b)).collect();
        a_values
            .flat_map(|a| inner.iter().map(move |&inner| (a, inner)))
            .map(|(a, i)| kernel.outer(a, i) as i16)
            .collect()
    }
}
