//! Step function from floats to integers, by thresholds.
//!
//! The ordered key of a float, `k = s ((e - 11) 2^23 + m)` with the biased exponent cell `e`, is the integer of its IEEE
//! bits with the sign applied. `(channel, y, k_lo, k_hi)` is a table row; `k - k_lo` and `k_hi - 1 - k` are non-negative.

use alloc::vec;
use alloc::vec::Vec;

use super::super::constants::single;
use super::super::requant::intervals;
use super::super::views::Signal;
use super::super::{Lowering, same_maps};
use super::{BIAS, FloatForm, Linear};
use crate::field::from_i64;
use crate::ops::Requant;
use crate::program::ValueId;
use crate::system::{AxisMap, Expr, Source};

/// No key is beyond.
const KEY_LIMIT: i64 = 1 << 31;

impl Lowering<'_> {
    pub(super) fn float_quantise(
        &mut self,
        output: ValueId,
        input: ValueId,
        axis: Option<u8>,
        thresholds: &[Vec<i32>],
    ) -> Result<(), Signal> {
        let view = self.view(input)?.clone();
        let (column, own) = self.carried_output(output, &view)?;
        let dims = self.column_dims(column).to_vec();
        let instance = self.new_instance(dims.clone(), Vec::new());
        let maps = self.read_maps(&view, |axis, atom| own.axis(axis, atom));
        let x = self.float_sources(instance, view.column, &maps);
        let y = self.add_source(instance, Source::Column { column, maps: same_maps(dims.len()) });
        let ([lower, upper], [from, to]) = self.hints::<2>(instance);
        let quantisation = &self.program.values[output as usize].quantisation;
        let range = (quantisation.lo(), quantisation.hi());
        // The channel number, as a constant over the channel's atoms.
        let channel = axis.map(|axis| {
            let sizes = self.axis_sizes(&own, axis as usize);
            let count: u32 = sizes.iter().product();
            let maps = (0..sizes.len())
                .map(|atom| own.axis(axis as usize, atom).map_or(AxisMap::Sum, |axis| AxisMap::Same { axis }))
                .collect();
            let column = self.new_constant(sizes, || (0..i64::from(count)).map(from_i64).collect());
            self.add_source(instance, Source::Column { column, maps })
        });
        // Row 0 is the all-zero tuple of pads; at a real position it would need k >= 0 and k <= -1.
        let mut rows: Vec<Vec<i64>> = vec![vec![0]; 4];
        let mut starts = Vec::with_capacity(thresholds.len());
        let mut count = 1;
        for (index, own) in thresholds.iter().enumerate() {
            let requant = Requant::Table { thresholds: own.iter().map(|&t| i64::from(t)).collect() };
            let steps = intervals(&requant, (-KEY_LIMIT, KEY_LIMIT), range);
            count += steps.len() as u32 - 1;
            // The search for widths only needs the number of rows.
            for pair in steps.windows(2).filter(|_| self.with_constants) {
                for (column, v) in rows.iter_mut().zip([index as i64, pair[0].0, pair[0].1, pair[1].1]) {
                    column.push(v);
                }
            }
            starts.push(steps.iter().map(|s| s.1).collect());
        }
        let table = if self.with_constants { self.row_table(rows) } else { self.counted_table(count, 4) };
        let number = channel.map_or(Expr { terms: Vec::new(), constant: 0, index_coefficient: 0 }, single);
        self.push_lookup(instance, table, vec![number, single(y), single(from), single(to)]);
        let signed_exponent = self.times(instance, x[1], x[2]);
        let key = Linear::of(&[(1 << 23, signed_exponent), (-((BIAS - 149) << 23), x[2]), (1, x[0])]);
        let above = key.clone().and(1, &Linear::of(&[(-1, from)]));
        let below = Linear::of(&[(1, to)]).plus(-1).and(-1, &key);
        let room = [above, below].map(|v| self.non_negative(instance, &v, 34));
        self.float_step(instance, FloatForm::Quantise { x, channel, starts, bounds: [lower, upper], room });
        Ok(())
    }
}
