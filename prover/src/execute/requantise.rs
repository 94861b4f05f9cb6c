//! Step functions of whole tensors, one decision of the form for each run of elements.

use rayon::prelude::*;
use vinfer_circuits::ops::{Requant, floor_div_pow2};
use vinfer_circuits::program::Value;

/// Elements per task.
const RUN: usize = 1 << 13;

/// One step function for all accumulators.
pub(super) fn whole(requant: &Requant, acc: &[i64], output: &Value) -> Vec<i32> {
    let range = (output.quantisation.lo(), output.quantisation.hi());
    let mut y = vec![0i32; acc.len()];
    y.par_chunks_mut(RUN).zip(acc.par_chunks(RUN)).for_each(|(y, acc)| run(requant, acc, y, range));
    y
}

/// A step function for each channel; `inner` elements of a channel lie side by side.
pub(super) fn channels(requants: &[Requant], inner: usize, acc: &[i64], output: &Value) -> Vec<i32> {
    let range = (output.quantisation.lo(), output.quantisation.hi());
    let mut y = vec![0i32; acc.len()];
    if inner == 0 || requants.is_empty() {
        return y;
    }
    // Whole channels, about RUN elements.
    let per_task = (RUN / inner).max(1);
    let tasks = y.par_chunks_mut(per_task * inner).zip(acc.par_chunks(per_task * inner)).enumerate();
    tasks.for_each(|(task, (y, acc))| {
        let own = requants.iter().cycle().skip(task * per_task % requants.len());
        for ((y, acc), requant) in y.chunks_mut(inner).zip(acc.chunks(inner)).zip(own) {
            run(requant, acc, y, range);
        }
    });
    y
}

fn run(requant: &Requant, acc: &[i64], y: &mut [i32], (lo, hi): (i32, i32)) {
    let slots = y.iter_mut().zip(acc);
    if let Requant::Line { multiplier, offset, shift } = *requant {
        let (low, high) = (i64::from(lo), i64::from(hi));
        slots.for_each(|(y, &a)| *y = floor_div_pow2(a * multiplier + offset, shift).clamp(low, high) as i32);
    } else {
        slots.for_each(|(y, &a)| *y = requant.apply(a, lo, hi));
    }
}
