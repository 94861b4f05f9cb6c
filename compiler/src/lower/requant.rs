//! Requantisation constants, solved once per distinct step function.

use vinfer_circuits::ops::Requant;
use vinfer_circuits::program::Quantisation;

use super::Lowering;
use crate::error::CompileError;
use crate::graph::Node;
use crate::solver::solve_requant;

impl Lowering<'_> {
    /// The step function `clamp(rne(f32(f32(acc) * scale)))` on `min..=max`.
    pub(super) fn requant(
        &mut self,
        node: &Node,
        scale: f32,
        out: &Quantisation,
        (min, max): (i64, i64),
    ) -> Result<Requant, CompileError> {
        if !scale.is_finite() || scale < 0.0 {
            return Err(node.bad_attribute("scale", format!("the requantisation scale is {scale}")));
        }
        if scale == 0.0 {
            return Ok(Requant::Line { multiplier: 0, offset: 0, shift: 0 }); // underflow: every product is zero
        }
        let key = (scale.to_bits(), out.lo(), out.hi(), min, max);
        if let Some(form) = self.solved.get(&key) {
            return Ok(form.clone());
        }
        let form = solve_requant(scale, out.lo(), out.hi(), min, max);
        self.solved.insert(key, form.clone());
        Ok(form)
    }
}
