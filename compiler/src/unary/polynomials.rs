//! ONNX Runtime's single-precision kernels, operation by operation. Constants and orders of operations were found by
//! comparing hundreds of thousands of results.

/// Rounds to an integer when added and subtracted again.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// `fma` Horner scheme, highest power first.
fn horner(x: f32, coefficients: &[f32]) -> f32 {
    let mut all = coefficients.iter().copied();
    let first = all.next().unwrap_or(0.0);
    all.fold(first, |p, c| p.mul_add(x, c))
}

/// `p * 2^m` for an integer `m`, rounded once.
fn scaled(p: f32, m: f32) -> f32 {
    (f64::from(p) * libm::exp2(f64::from(m))) as f32
}

/// Exp.
pub(crate) fn exponential(x: f32) -> f32 {
    let x = x.max(-103.972_084);
    let m = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = m.mul_add(-1.428_606_8e-6, m.mul_add(-0.693_145_75, x));
    // 0x1.694p-10, 0x1.125edcp-7, 0x1.555b5ap-5, 0x1.55545p-3, 0x1.fffff6p-2, 1, 1
    let bits = [0x3ab4_a000, 0x3c09_2f6e, 0x3d2a_adad, 0x3e2a_aa28, 0x3eff_fffb, 0x3f80_0000, 0x3f80_0000];
    scaled(horner(r, &bits.map(f32::from_bits)), m)
}

/// Erf.
pub(super) fn erf(x: f32) -> f32 {
    const SMALL: [f32; 6] = [-5.9910497e-04, 0.004993396, -0.026766734, 0.112818025, -0.37612486, 0.12837915];
    const LARGE: [f32; 7] =
        [1.7294893e-05, -3.8320868e-04, 0.0038839343, -0.02425456, 0.10677785, 0.6348467, 0.12871751];
    const POWER: [f32; 7] = [0.0013831981, 0.0083755, 0.04166895, 0.16666447, 0.49999985, 1.0, 1.0];
    let a = x.abs().min(3.925);
    let result = if a > 0.921_875 {
        let r = (-horner(a, &LARGE).mul_add(a, a)).max(-88.376_26);
        let m = r.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
        let f = m.mul_add(-1.428_606_8e-6, m.mul_add(-0.693_145_75, r));
        1.0 - scaled(horner(f, &POWER), m)
    } else {
        horner(a * a, &SMALL).mul_add(a, a)
    };
    result.copysign(x)
}

/// Sigmoid.
pub(super) fn logistic(x: f32) -> f32 {
    const ABOVE: [f32; 5] = [4.37031e-11, 1.1562732e-07, 6.085749e-05, 0.008513771, 0.24828795];
    const BELOW: [f32; 6] = [6.1024737e-13, 5.7610214e-09, 6.291068e-06, 0.0017019882, 0.11681765, 0.9931519];
    let x = x.clamp(-18.0, 18.0);
    let v = x * x;
    (horner(v, &ABOVE) * x / horner(v, &BELOW) + 0.5).clamp(0.0, 1.0)
}

/// Tanh.
pub(super) fn tanh(x: f32) -> f32 {
    const ABOVE: [f32; 7] =
        [-2.7607684e-16, 2.000188e-13, -8.604672e-11, 5.1222973e-08, 1.48572235e-05, 6.3726195e-04, 0.0048935246];
    const BELOW: [f32; 4] = [1.1982584e-06, 1.1853471e-04, 0.0022684347, 0.004893525];
    let x = x.clamp(-9.0, 9.0);
    let v = x * x;
    horner(v, &ABOVE) * x / horner(v, &BELOW)
}

/// Gelu.
pub(super) fn gelu(x: f32) -> f32 {
    0.5 * x * (erf(x * std::f32::consts::FRAC_1_SQRT_2) + 1.0)
}

/// Gelu with approximate = tanh.
pub(super) fn gelu_tanh(x: f32) -> f32 {
    let t = x * (0.035_677_408 * x * x + 0.797_884_6);
    0.5 * x * (tanh(t) + 1.0)
}
