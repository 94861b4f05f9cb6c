//! Histograms, and the ranges that calibration methods choose from them.

/// Bins of a histogram.
const BINS: usize = 2048;

/// How the range of an activation is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// The whole range seen.
    MinMax,
    /// The range without the outermost values: this percentage lies below the upper end and above the lower one.
    Percentile(f64),
    /// The range whose 8-bit histogram diverges least (Kullback-Leibler) from the float one.
    Entropy,
    /// The range with the least mean squared rounding and clipping error.
    MeanSquare,
}

/// Counts of values in equal bins of a range.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    min: f32,
    max: f32,
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn new(min: f32, max: f32) -> Self {
        Self { min, max, counts: vec![0; BINS] }
    }

    pub(crate) fn add(&mut self, values: &[f32]) {
        let factor = BINS as f32 / (self.max - self.min).max(f32::MIN_POSITIVE);
        for &v in values {
            // `as` saturates.
            let bin = (((v - self.min) * factor) as usize).min(BINS - 1);
            self.counts[bin] += 1;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// The range that a method chooses.
    pub(crate) fn range(&self, method: Method) -> (f32, f32) {
        match method {
            Method::MinMax => (self.min, self.max),
            Method::Percentile(percent) => self.percentile(percent),
            Method::Entropy => {
                // One threshold for both signs, as is usual for this method.
                let reach = self.max.max(-self.min);
                let ranges = (0..120).map(|i| reach * (1.0 - i as f32 / 128.0));
                let ranges = ranges.map(|reach| (self.min.max(-reach), self.max.min(reach)));
                self.best(ranges, |lo, hi| self.divergence(lo, hi))
            }
            Method::MeanSquare => {
                let ranges = SHRINKS.iter().flat_map(|&a| SHRINKS.map(|b| (self.min * a, self.max * b)));
                self.best(ranges, |lo, hi| self.square_error(lo, hi))
            }
        }
    }

    fn width(&self) -> f64 {
        (f64::from(self.max) - f64::from(self.min)) / BINS as f64
    }

    fn centre(&self, bin: usize) -> f64 {
        f64::from(self.min) + (bin as f64 + 0.5) * self.width()
    }

    fn percentile(&self, percent: f64) -> (f32, f32) {
        let total: u64 = self.counts.iter().sum();
        let outside = (total as f64 * (1.0 - percent / 100.0)) as u64;
        let reach = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            counts
                .take_while(|&&c| {
                    sum += c;
                    sum <= outside
                })
                .count()
        };
        let (low, high) = (reach(&mut self.counts.iter()), reach(&mut self.counts.iter().rev()));
        let lo = f64::from(self.min) + low as f64 * self.width();
        let hi = f64::from(self.max) - high as f64 * self.width();
        ((lo as f32).min(0.0), (hi as f32).max(0.0))
    }

    /// The range with the least cost; the first one where several are equal.
    fn best(&self, ranges: impl Iterator<Item = (f32, f32)>, cost: impl Fn(f32, f32) -> f64) -> (f32, f32) {
        let mut best = (f64::INFINITY, (self.min, self.max));
        for (lo, hi) in ranges.filter(|(lo, hi)| lo < hi) {
            let cost = cost(lo, hi);
            if cost < best.0 {
                best = (cost, (lo, hi));
            }
        }
        best.1
    }

    fn square_error(&self, lo: f32, hi: f32) -> f64 {
        let step = (f64::from(hi) - f64::from(lo)) / 255.0;
        let mut sum = 0.0;
        for (bin, &count) in self.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            let v = self.centre(bin);
            let clipped = v.clamp(f64::from(lo), f64::from(hi));
            // Rounding errors are uniform within a step.
            sum += count as f64 * ((v - clipped).powi(2) + step * step / 12.0);
        }
        sum
    }

    /// Divergence of the histogram from its 8-bit form within a range; what lies outside counts at the ends.
    fn divergence(&self, lo: f32, hi: f32) -> f64 {
        let bin = |v: f32| (((f64::from(v) - f64::from(self.min)) / self.width()).round().max(0.0) as usize).min(BINS);
        let (first, last) = (bin(lo), bin(hi));
        if last < first + 256 {
            return f64::INFINITY;
        }
        let inside = &self.counts[first..last];
        let mut wanted: Vec<f64> = inside.iter().map(|&c| c as f64).collect();
        wanted[0] += self.counts[..first].iter().sum::<u64>() as f64;
        wanted[last - first - 1] += self.counts[last..].iter().sum::<u64>() as f64;
        let total: f64 = wanted.iter().sum();
        let kept: f64 = inside.iter().map(|&c| c as f64).sum();
        if total == 0.0 || kept == 0.0 {
            return f64::INFINITY;
        }
        let mut divergence = 0.0;
        for level in 0..256 {
            let (from, to) = (level * inside.len() / 256, (level + 1) * inside.len() / 256);
            let sum: f64 = inside[from..to].iter().map(|&c| c as f64).sum();
            let filled = inside[from..to].iter().filter(|&&c| c > 0).count();
            for (&w, _) in wanted[from..to].iter().zip(&inside[from..to]).filter(|(w, _)| **w > 0.0) {
                let given = if filled == 0 { 1e-9 } else { sum / filled as f64 };
                divergence += w / total * ((w / total) / (given / kept).max(1e-12)).ln();
            }
        }
        divergence
    }
}

/// Factors by which the mean square search shrinks either end.
const SHRINKS: [f32; 14] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_are_cut_by_every_method_but_min_max() {
        // A sum of four uniform numbers is close to normal.
        let uniform = |i: u32| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
        let mut values: Vec<f32> =
            (0..100_000).map(|i| (0..4).map(|j| uniform(4 * i + j)).sum::<f32>() / 4.0).collect();
        values.push(4.0);
        let mut histogram = Histogram::new(-0.5, 4.0);
        histogram.add(&values);
        assert_eq!(histogram.range(Method::MinMax), (-0.5, 4.0));
        for method in [Method::Percentile(99.99), Method::Entropy, Method::MeanSquare] {
            let (lo, hi) = histogram.range(method);
            assert!(lo <= 0.0 && hi < 4.0, "{method:?}: {lo} {hi}");
        }
    }

    #[test]
    fn ranges_of_nothing_and_of_zeros_exist() {
        for method in [Method::MinMax, Method::Percentile(99.0), Method::Entropy, Method::MeanSquare] {
            let mut histogram = Histogram::new(0.0, 0.0);
            assert_eq!(histogram.range(method), (0.0, 0.0));
            histogram.add(&[0.0; 10]);
            assert_eq!(histogram.range(method), (0.0, 0.0));
        }
    }
}
