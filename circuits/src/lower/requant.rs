//! Requantisation blocks: the channels of one operation that share a form become one lookup instance.
//!
//! With `A = acc * M + C` (for a contraction `acc * M` is itself a contraction with rows scaled by `M`):
//! * LINE: `A = v * 2^(T l) + sum r_i 2^(T i)`, limbs `r_i` in a T-bit range table, `(v, y)`, both counted from
//!   the least output, in a clamp table with `shift - T l` fraction bits.
//! * PARITY: `A + s D = w * 2^E + R`, `R = sum r_i 2^(T i)`, `(w, s, y)`, likewise, in a parity clamp table (so `s = w mod 2`), and
//!   `R < B = 2^E + (2 s - 1) D` by range checks of `B / 2^f - 1 - floor(R / 2^f)`, which is exact since the bound is a
//!   multiple of `2^f`: f leaves the two topmost limbs, so the difference is `slack + 2^T * high`, both in T bits.
//! * TABLE: `(channel, y, t_lo, t_hi)` is a table row, `acc - t_lo` and `t_hi - 1 - acc` in the range table.
//! * EXACT: `acc - y` is the only row of the one-row table.
//!
//! No wraparound: |A| < 2^62 by the program's reachable ranges (checked in `Program::validate` and below), the right-hand
//! sides are below 2^62 by the widths of their tables, so equality in F is equality in the integers.

use alloc::vec;
use alloc::vec::Vec;

use super::constants::{coefficient, expr, scaled, single};
use super::views::least_padded;
use super::{Lowering, Step, same_maps, signed_bits};
use crate::field::from_i64;
use crate::ops::Requant;
use crate::system::{AxisMap, ColumnId, ContractMap, Contraction, Expr, Home, IndexList, Source};

/// Constants of a block's channels, in block order, brought to the block's common exponent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequantForm {
    /// See the module documentation.
    Line {
        /// Multipliers.
        multipliers: Vec<i64>,
        /// Offsets (bias included).
        offsets: Vec<i64>,
        /// Limb columns, least significant first.
        limbs: Vec<ColumnId>,
        /// Bits per limb.
        limb_bits: u8,
    },
    /// See the module documentation.
    Parity {
        /// Multipliers.
        multipliers: Vec<i64>,
        /// Offsets (bias included).
        offsets: Vec<i64>,
        /// Extra offset of odd levels.
        odd_deltas: Vec<i64>,
        /// Divisor exponent E.
        shift: u8,
        /// Column of the parity bit.
        parity: ColumnId,
        /// Limb columns, least significant first.
        limbs: Vec<ColumnId>,
        /// Low limb of the distance to the bound, if there is more than one limb.
        slack: Option<ColumnId>,
        /// Bits per limb.
        limb_bits: u8,
    },
    /// See the module documentation.
    Table {
        /// Interval starts of each channel, ascending; interval i is `starts[i]..starts[i + 1]`.
        starts: Vec<Vec<i64>>,
        /// Column of the interval start.
        lower: ColumnId,
        /// Column of the interval end.
        upper: ColumnId,
    },
    /// The result is the accumulator.
    Exact,
}

/// How to fill the hint columns of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequantStep {
    /// Position of the operation in the program.
    pub op: usize,
    /// The lookup instance.
    pub instance: u32,
    /// Channel of each index of domain axis 0; empty for operations without channels.
    pub channels: Vec<u32>,
    /// The form and its columns.
    pub form: RequantForm,
}

/// What an accumulator is made of.
pub(super) struct Accumulator<'a> {
    /// Operation index.
    pub(super) op: usize,
    /// Domain positions besides the channel axis (with channels), or the whole domain (without).
    pub(super) positions: Vec<u32>,
    /// Output column.
    pub(super) output: ColumnId,
    /// With channels: for each axis of the output column the domain axis of its position, `None` for the axes of the
    /// channel, which are neighbours. Without: the domain is the column.
    pub(super) output_axes: Option<Vec<Option<u8>>>,
    /// Step function per channel.
    pub(super) requant: &'a [Requant],
    /// Bias per channel.
    pub(super) bias: &'a [i64],
    /// Reachable range per channel, bias included.
    pub(super) reachable: Vec<(i64, i64)>,
    /// Range of the output.
    pub(super) range: (i32, i32),
    /// What supplies `acc * row multiplier`.
    pub(super) source: AccumulatorSource,
}

impl Accumulator<'_> {
    /// Bits of the levels that a LINE or PARITY channel can reach, counted from the least value of the output.
    fn level_bits(&self, channel: u32) -> u8 {
        let (min, max) = self.reachable[channel as usize];
        let levels = [min, max, 0].map(|a| self.requant[channel as usize].level(a));
        let (lo, hi) = (i64::from(self.range.0), i64::from(self.range.1));
        let least = levels.into_iter().min().unwrap_or(0).min(lo);
        signed_bits(least - lo, levels.into_iter().max().unwrap_or(0).max(hi) - lo)
    }

    /// Most bits of any of these channels' levels.
    fn widest_level(&self, channels: &[u32]) -> u32 {
        channels.iter().map(|&ch| u32::from(self.level_bits(ch))).max().unwrap_or(0)
    }
}

pub(super) enum AccumulatorSource {
    /// Contraction with scaled rows.
    Contraction(u32),
    /// Linear terms over plain sources: `(coefficient, source)`; no channels, multiplier applied to the coefficients.
    Linear(Vec<(i64, Source)>),
}

/// Channels of one form with common exponents.
struct Sorted {
    line: Vec<u32>,
    parity: Vec<u32>,
    table: Vec<u32>,
    exact: Vec<u32>,
}

/// log2 of `program::MAX_PRODUCT`.
pub(super) const MAX_BITS: u32 = 61;
/// Most bits of a level that a clamp table holds; channels beyond fall back to TABLE.
const MAX_LEVEL_BITS: u8 = 20;
/// Most rows of one threshold table.
const MAX_TABLE_ROWS: i64 = 1 << 22;

impl Lowering<'_> {
    /// Emits all blocks; returns the multiplier of each channel (1 for TABLE channels).
    pub(super) fn requantise(&mut self, acc: &Accumulator<'_>) -> Vec<i64> {
        let mut row_multipliers = vec![1i64; acc.requant.len()];
        let mut sorted = Sorted { line: Vec::new(), parity: Vec::new(), table: Vec::new(), exact: Vec::new() };
        for (channel, requant) in acc.requant.iter().enumerate() {
            match requant {
                Requant::Line { .. } => sorted.line.push(channel as u32),
                Requant::Parity { .. } => sorted.parity.push(channel as u32),
                Requant::Table { .. } => sorted.table.push(channel as u32),
                Requant::Exact => sorted.exact.push(channel as u32),
            }
        }
        self.line_block(acc, &mut sorted, &mut row_multipliers);
        self.parity_block(acc, &mut sorted, &mut row_multipliers);
        self.table_block(acc, &sorted);
        self.exact_block(acc, &sorted.exact);
        row_multipliers
    }

    /// Domain, and the sources `acc` (0..) and `y`, common to all forms. Returns (instance, terms of acc*M, y source).
    fn open_block(&mut self, acc: &Accumulator<'_>, channels: &[u32], multiplier: i64) -> Block {
        let (dims, mut sources, terms) = match &acc.source {
            AccumulatorSource::Contraction(contraction) => {
                let total = acc.requant.len();
                let mut dims = vec![channels.len() as u32];
                dims.extend_from_slice(&acc.positions);
                let rows = if channels.len() == total {
                    IndexList::Identity(total as u32)
                } else {
                    IndexList::List(channels.to_vec())
                };
                let source = Source::Contraction { contraction: *contraction, rows };
                (dims, vec![source], vec![(1i64, 0u16)])
            }
            AccumulatorSource::Linear(parts) => {
                let sources = parts.iter().map(|(_, s)| s.clone()).collect();
                let terms = parts.iter().enumerate().map(|(i, (c, _))| (c * multiplier, i as u16)).collect();
                (acc.positions.clone(), sources, terms)
            }
        };
        let y = sources.len() as u16;
        let maps = match &acc.output_axes {
            None => same_maps(dims.len()),
            Some(axes) => {
                let whole = channels.len() == acc.requant.len();
                let span = axes.iter().filter(|axis| axis.is_none()).count();
                let channel = if whole && span == 1 {
                    AxisMap::Same { axis: 0 }
                } else {
                    let count = channels.len() as u32;
                    let list = if whole { IndexList::Identity(count) } else { IndexList::List(channels.to_vec()) };
                    AxisMap::Gather { axis: 0, span: span as u8, list }
                };
                let mut channel = Some(channel);
                let map = |axis: &Option<u8>| axis.map_or_else(|| channel.take(), |axis| Some(AxisMap::Same { axis }));
                axes.iter().filter_map(map).collect()
            }
        };
        sources.push(Source::Column { column: acc.output, maps });
        let instance = self.new_instance(dims, sources);
        Block { instance, terms, y }
    }

    /// Adds a per-channel constant to the block: a constant column for contractions, a plain constant otherwise.
    fn channel_constant(&mut self, block: &Block, acc: &Accumulator<'_>, values: &[i64]) -> Part {
        if values.iter().all(|&v| v == 0) {
            return Part::Constant(0);
        }
        if acc.output_axes.is_none() {
            return Part::Constant(values.first().copied().unwrap_or(0));
        }
        let values = values.to_vec();
        let column = self.new_constant(vec![values.len() as u32], || values.into_iter().map(from_i64).collect());
        Part::Source(self.add_source(block.instance, Source::Column { column, maps: vec![AxisMap::Same { axis: 0 }] }))
    }

    pub(super) fn add_source(&mut self, instance: usize, source: Source) -> u16 {
        let sources = &mut self.system.instances[instance].sources;
        sources.push(source);
        (sources.len() - 1) as u16
    }

    pub(super) fn hint_column(&mut self, instance: usize) -> (ColumnId, u16) {
        let dims = self.system.instances[instance].dims.clone();
        let maps = same_maps(dims.len());
        let column = self.new_column(Home::Witness, dims);
        (column, self.add_source(instance, Source::Column { column, maps }))
    }

    /// A hint column of an instance with its axes in the order that pads least.
    fn least_padded_hint(&mut self, instance: usize) -> (ColumnId, u16) {
        let domain = self.system.instances[instance].dims.clone();
        let atoms: Vec<Vec<u32>> = domain.iter().map(|&d| vec![d]).collect();
        let order = least_padded(&atoms, (0..domain.len()).collect());
        let maps = order.iter().map(|&axis| AxisMap::Same { axis: axis as u8 }).collect();
        let column = self.new_column(Home::Witness, order.iter().map(|&axis| domain[axis]).collect());
        (column, self.add_source(instance, Source::Column { column, maps }))
    }

    fn limbs(&mut self, instance: usize, count: u32) -> (Vec<ColumnId>, Vec<u16>) {
        let table = (count > 0).then(|| self.range_table(self.widths.limb));
        let mut columns = Vec::new();
        let mut sources = Vec::new();
        for _ in 0..count {
            let (column, source) = self.least_padded_hint(instance);
            if let Some(table) = table {
                self.push_lookup(instance, table, vec![single(source)]);
            }
            columns.push(column);
            sources.push(source);
        }
        (columns, sources)
    }

    fn line_block(&mut self, acc: &Accumulator<'_>, sorted: &mut Sorted, row_multipliers: &mut [i64]) {
        let limb = u32::from(self.widths.limb);
        let shift_of = |ch: u32| match acc.requant[ch as usize] {
            Requant::Line { shift, .. } => u32::from(shift),
            _ => 0,
        };
        let (own, wide) = sorted.line.iter().partition(|&&ch| acc.level_bits(ch) <= MAX_LEVEL_BITS);
        sorted.line = own;
        sorted.table.extend::<Vec<u32>>(wide);
        let Some(shift) = sorted.line.iter().map(|&c| shift_of(c)).max() else { return };
        let level_bits = acc.widest_level(&sorted.line);
        // Fraction bits that the clamp table can take; then the fewest limbs.
        let fraction_room = u32::from(self.widths.clamp).saturating_sub(level_bits);
        let limbs = shift.saturating_sub(fraction_room).div_ceil(limb);
        let fraction = shift.saturating_sub(limb * limbs);
        let shift = limb * limbs + fraction;
        // Channels that do not fit the common exponent fall back to TABLE.
        let (fits, too_big): (Vec<u32>, Vec<u32>) = sorted.line.iter().partition(|&&ch| {
            let Requant::Line { multiplier, offset, shift: own } = acc.requant[ch as usize] else { return false };
            let (min, max) = acc.reachable[ch as usize];
            let reach = u128::from(min.unsigned_abs().max(max.unsigned_abs()));
            let grow = shift - u32::from(own);
            let bound = (reach * u128::from(multiplier.unsigned_abs()) + u128::from(offset.unsigned_abs())) << grow;
            bound < 1 << MAX_BITS && level_bits + shift <= MAX_BITS
        });
        sorted.line = fits;
        sorted.table.extend(too_big);
        if sorted.line.is_empty() {
            return;
        }
        let channels = sorted.line.clone();
        let (mut multipliers, mut offsets) = (Vec::new(), Vec::new());
        for &ch in &channels {
            if let Requant::Line { multiplier, offset, shift: own } = acc.requant[ch as usize] {
                let grow = shift - u32::from(own);
                let m = multiplier << grow;
                multipliers.push(m);
                offsets.push((offset << grow) + acc.bias[ch as usize] * m);
                row_multipliers[ch as usize] = m;
            }
        }
        let block = self.open_block(acc, &channels, multipliers.first().copied().unwrap_or(0));
        let constant = self.channel_constant(&block, acc, &offsets);
        let (limb_columns, limb_sources) = self.limbs(block.instance, limbs);
        let down = limb * limbs;
        let mut v = constant.expr(1, down);
        v.terms.extend(block.terms.iter().map(|&(c, s)| (scaled(c, down), s)));
        for (i, &source) in limb_sources.iter().enumerate() {
            v.terms.push((scaled(-(1i64 << (limb * i as u32)), down), source));
        }
        let (lo, hi) = (i64::from(acc.range.0), i64::from(acc.range.1));
        v.constant = add_canonical(v.constant, coefficient(-(lo << fraction)));
        let table = self.clamp_table(level_bits as u8, fraction as u8, (hi - lo) as i32, down);
        self.push_lookup(block.instance, table, vec![v, above(block.y, lo)]);
        let limb_bits = self.widths.limb;
        let form = RequantForm::Line { multipliers, offsets, limbs: limb_columns, limb_bits };
        self.push_requant(acc, block.instance, channels, form);
    }

    fn parity_block(&mut self, acc: &Accumulator<'_>, sorted: &mut Sorted, row_multipliers: &mut [i64]) {
        let limb = u32::from(self.widths.limb);
        let shift_of = |ch: u32| match acc.requant[ch as usize] {
            Requant::Parity { shift, .. } => u32::from(shift),
            _ => 0,
        };
        let (own, wide) = sorted.parity.iter().partition(|&&ch| acc.level_bits(ch) <= MAX_LEVEL_BITS);
        sorted.parity = own;
        sorted.table.extend::<Vec<u32>>(wide);
        let Some(shift) = sorted.parity.iter().map(|&c| shift_of(c)).max() else { return };
        if 2 * limb <= u32::from(Requant::PARITY_DELTA_BITS) {
            self.infeasible = true;
            return;
        }
        let level_bits = acc.widest_level(&sorted.parity);
        let limbs = (shift + 1).div_ceil(limb);
        let shift = limb * limbs - 1;
        let (fits, too_big): (Vec<u32>, Vec<u32>) = sorted.parity.iter().partition(|&&ch| {
            let Requant::Parity { multiplier, offset, odd_delta, shift: own } = acc.requant[ch as usize] else {
                return false;
            };
            let (min, max) = acc.reachable[ch as usize];
            let reach = u128::from(min.unsigned_abs().max(max.unsigned_abs()));
            let grow = shift - u32::from(own);
            let sum = reach * u128::from(multiplier.unsigned_abs())
                + u128::from(offset.unsigned_abs())
                + u128::from(odd_delta.unsigned_abs());
            sum << grow < 1 << MAX_BITS && level_bits + shift < MAX_BITS
        });
        sorted.parity = fits;
        sorted.table.extend(too_big);
        if sorted.parity.is_empty() {
            return;
        }
        let channels = sorted.parity.clone();
        let (mut multipliers, mut offsets, mut odd_deltas) = (Vec::new(), Vec::new(), Vec::new());
        for &ch in &channels {
            if let Requant::Parity { multiplier, offset, odd_delta, shift: own } = acc.requant[ch as usize] {
                let grow = shift - u32::from(own);
                let m = multiplier << grow;
                multipliers.push(m);
                offsets.push((offset << grow) + acc.bias[ch as usize] * m);
                odd_deltas.push(odd_delta << grow);
                row_multipliers[ch as usize] = m;
            }
        }
        let block = self.open_block(acc, &channels, multipliers.first().copied().unwrap_or(0));
        let constant = self.channel_constant(&block, acc, &offsets);
        let (parity, parity_source) = self.hint_column(block.instance);
        // s * D: per channel it is a contraction with one group per channel, else a scaled source.
        let (odd_terms, delta) = if acc.output_axes.is_none() {
            let d = odd_deltas.first().copied().unwrap_or(0);
            (vec![(d, parity_source)], Part::Constant(d))
        } else {
            let count = channels.len() as u32;
            let deltas = odd_deltas.clone();
            let column = self.new_constant(vec![count], || deltas.into_iter().map(from_i64).collect());
            let maps = core::iter::once(ContractMap::Summed { axis: 0 })
                .chain((0..acc.positions.len()).map(|axis| ContractMap::Position { axis: axis as u8 }))
                .collect();
            self.system.contractions.push(Contraction {
                weights: column,
                weight_axes: vec![vec![0]],
                input: parity,
                summed: vec![count],
                rows_per_group: 1,
                positions: acc.positions.clone(),
                maps,
            });
            let contraction = (self.system.contractions.len() - 1) as u32;
            let odd = Source::Contraction { contraction, rows: IndexList::Identity(count) };
            let odd = self.add_source(block.instance, odd);
            let plain = Source::Column { column, maps: vec![AxisMap::Same { axis: 0 }] };
            (vec![(1, odd)], Part::Source(self.add_source(block.instance, plain)))
        };
        let (limb_columns, limb_sources) = self.limbs(block.instance, limbs);
        let mut w = constant.expr(1, shift);
        w.terms.extend(block.terms.iter().chain(&odd_terms).map(|&(c, s)| (scaled(c, shift), s)));
        for (i, &source) in limb_sources.iter().enumerate() {
            w.terms.push((scaled(-(1i64 << (limb * i as u32)), shift), source));
        }
        let (lo, hi) = (i64::from(acc.range.0), i64::from(acc.range.1));
        w.constant = add_canonical(w.constant, coefficient(-lo));
        // The table's parity is that of the level counted from `lo`.
        let parity_of_row = match lo % 2 {
            0 => single(parity_source),
            _ => Expr { terms: vec![(coefficient(-1), parity_source)], constant: 1, index_coefficient: 0 },
        };
        let table = self.parity_table(level_bits.max(2) as u8, (hi - lo) as i32, shift);
        self.push_lookup(block.instance, table, vec![w, parity_of_row, above(block.y, lo)]);
        // (2^E + 2 s D - D) / 2^f - 1 - (the limbs from bit f up), in one or two limbs.
        let range = self.range_table(self.widths.limb);
        let top = limbs.min(2);
        let down = limb * (limbs - top);
        let slack = (top == 2).then(|| self.least_padded_hint(block.instance));
        let high_shift = if slack.is_some() { limb } else { 0 };
        let mut room = delta.expr(-1, down + high_shift);
        room.constant = add_canonical(room.constant, scaled((1i64 << (shift - down)) - 1, high_shift));
        room.terms.extend(odd_terms.iter().map(|&(c, s)| (scaled(2 * c, down + high_shift), s)));
        for (i, &source) in limb_sources[(limbs - top) as usize..].iter().enumerate() {
            room.terms.push((scaled(-(1i64 << (limb * i as u32)), high_shift), source));
        }
        if let Some((_, source)) = slack {
            room.terms.push((scaled(-1, high_shift), source));
            self.push_lookup(block.instance, range, vec![single(source)]);
        }
        self.push_lookup(block.instance, range, vec![room]);
        let form = RequantForm::Parity {
            multipliers,
            offsets,
            odd_deltas,
            shift: shift as u8,
            parity,
            limbs: limb_columns,
            slack: slack.map(|(column, _)| column),
            limb_bits: self.widths.limb,
        };
        self.push_requant(acc, block.instance, channels, form);
    }

    fn table_block(&mut self, acc: &Accumulator<'_>, sorted: &Sorted) {
        if sorted.table.is_empty() {
            return;
        }
        let mut channels = sorted.table.clone();
        channels.sort_unstable();
        let limb = self.widths.limb;
        let width = 1i64 << limb;
        let chunks = |w: &[(i64, i64)]| (w[1].1 - w[0].1 + width - 1) / width;
        let mut steps: Vec<Vec<(i64, i64)>> = Vec::with_capacity(channels.len());
        let mut count = 1;
        for &ch in &channels {
            let own = intervals(&acc.requant[ch as usize], acc.reachable[ch as usize], acc.range);
            count += own.windows(2).map(chunks).sum::<i64>();
            if count > MAX_TABLE_ROWS {
                // Too many for any proof; other widths, or none, will do.
                self.infeasible = true;
                return;
            }
            steps.push(own);
        }
        // Row 0 is the all-zero tuple of pads; at a real position it would need acc >= 0 and acc <= -1.
        let mut rows: Vec<Vec<i64>> = vec![vec![0]; 4];
        let mut starts = Vec::new();
        // The search for widths only needs the number of rows.
        let listed = if self.with_constants { steps.as_slice() } else { &[] };
        for (index, own) in listed.iter().enumerate() {
            let mut own_starts = Vec::new();
            for pair in own.windows(2) {
                let ((y, mut at), end) = (pair[0], pair[1].1);
                while at < end {
                    let next = end.min(at + width);
                    own_starts.push(at);
                    for (column, v) in rows.iter_mut().zip([index as i64, y, at, next]) {
                        column.push(v);
                    }
                    at = next;
                }
            }
            own_starts.extend(own.last().map(|&(_, end)| end));
            starts.push(own_starts);
        }
        let bias: Vec<i64> = channels.iter().map(|&ch| acc.bias[ch as usize]).collect();
        let block = self.open_block(acc, &channels, 1);
        let bias = self.channel_constant(&block, acc, &bias);
        let (lower, lower_source) = self.least_padded_hint(block.instance);
        let (upper, upper_source) = self.least_padded_hint(block.instance);
        let table = if self.with_constants { self.row_table(rows) } else { self.counted_table(count as u32, 4) };
        let channel = Expr { terms: Vec::new(), constant: 0, index_coefficient: u64::from(acc.output_axes.is_some()) };
        let tuple = vec![channel, single(block.y), single(lower_source), single(upper_source)];
        self.push_lookup(block.instance, table, tuple);
        let range = self.range_table(limb);
        let mut above = bias.expr(1, 0);
        above.terms.extend(block.terms.iter().map(|&(c, s)| (coefficient(c), s)));
        let mut below = bias.expr(-1, 0);
        below.terms.extend(block.terms.iter().map(|&(c, s)| (coefficient(-c), s)));
        above.terms.push((coefficient(-1), lower_source));
        below.terms.push((1, upper_source));
        below.constant = add_canonical(below.constant, coefficient(-1));
        self.push_lookup(block.instance, range, vec![above]);
        self.push_lookup(block.instance, range, vec![below]);
        self.push_requant(acc, block.instance, channels, RequantForm::Table { starts, lower, upper });
    }

    /// `acc + bias - y = 0`.
    fn exact_block(&mut self, acc: &Accumulator<'_>, channels: &[u32]) {
        if channels.is_empty() {
            return;
        }
        let bias: Vec<i64> = channels.iter().map(|&ch| acc.bias[ch as usize]).collect();
        let block = self.open_block(acc, channels, 1);
        let mut difference = self.channel_constant(&block, acc, &bias).expr(1, 0);
        difference.terms.extend(block.terms.iter().map(|&(c, s)| (coefficient(c), s)));
        difference.terms.push((coefficient(-1), block.y));
        self.vanish(block.instance, difference);
        self.push_requant(acc, block.instance, channels.to_vec(), RequantForm::Exact);
    }

    fn push_requant(&mut self, acc: &Accumulator<'_>, instance: usize, channels: Vec<u32>, form: RequantForm) {
        let channels = if acc.output_axes.is_none() { Vec::new() } else { channels };
        self.plan.push(Step::Requant(RequantStep { op: acc.op, instance: instance as u32, channels, form }));
    }
}

/// The step function on `min..=max` as `(result, first accumulator)`, ascending, closed by `(_, max + 1)`. A function of
/// more levels than any table holds is cut short, with more than `MAX_TABLE_ROWS` levels left.
pub(super) fn intervals(requant: &Requant, (min, max): (i64, i64), range: (i32, i32)) -> Vec<(i64, i64)> {
    let apply = |acc: i64| i64::from(requant.apply(acc, range.0, range.1));
    let mut out = vec![(apply(min), min)];
    if let Requant::Table { thresholds } = requant {
        for (&t, y) in thresholds.iter().zip(i64::from(range.0) + 1..) {
            if t > min && t <= max {
                match out.last_mut() {
                    Some(last) if last.1 == t => last.0 = y,
                    _ => out.push((y, t)),
                }
            }
        }
    } else {
        // Monotone: bisect for the end of each level.
        let mut at = min;
        loop {
            let (y, mut same, mut other) = (apply(at), at, max + 1);
            while other - same > 1 {
                let middle = same + (other - same) / 2;
                if apply(middle) == y { same = middle } else { other = middle }
            }
            if other > max || out.len() as i64 > MAX_TABLE_ROWS {
                break;
            }
            at = other;
            out.push((apply(at), at));
        }
    }
    out.push((0, max + 1));
    out
}

struct Block {
    instance: usize,
    terms: Vec<(i64, u16)>,
    y: u16,
}

/// A per-channel constant, as a source or (without channels) a plain number.
enum Part {
    Constant(i64),
    Source(u16),
}

impl Part {
    /// `sign * part / 2^down`.
    fn expr(&self, sign: i64, down: u32) -> Expr {
        match self {
            Self::Constant(v) => Expr { terms: Vec::new(), constant: scaled(sign * v, down), index_coefficient: 0 },
            Self::Source(s) => expr(vec![(scaled(sign, down), *s)]),
        }
    }
}

/// A source minus the least value of the output.
fn above(source: u16, lo: i64) -> Expr {
    Expr { terms: vec![(1, source)], constant: coefficient(-lo), index_coefficient: 0 }
}

fn add_canonical(a: u64, b: u64) -> u64 {
    use p3_field::{PrimeCharacteristicRing, PrimeField64};
    (crate::field::F::from_u64(a) + crate::field::F::from_u64(b)).as_canonical_u64()
}
