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
            Method::Entropy => self.best(&shrunk(&[1.0; 1]), |lo, hi| self.divergence(lo, hi)),
            Method::MeanSquare => self.best(&shrunk(&SHRINKS), |lo, hi| self.square_error(lo, hi)),
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

    /// The pair of shrunk ends with the least cost.
    fn best(&self, factors: &[(f32, f32)], cost: impl Fn(f32, f32) -> f64) -> (f32, f32) {
        let mut best = (f64::INFINITY, (self.min, self.max));
        for &(a, b) in factors {
            let (lo, hi) = (self.min * a, self.max * b);
            if (self.min == 0.0 && a != 1.0) || (self.max == 0.0 && b != 1.0) || hi <= lo {
                continue;
            }
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

/// Pairs of factors: every pair of those given, or, for a single one, both ends alike in small steps.
fn shrunk(factors: &[f32]) -> Vec<(f32, f32)> {
    match factors {
        [_] => (0..56).map(|i| 1.0 - i as f32 / 64.0).map(|f| (f, f)).collect(),
        _ => factors.iter().flat_map(|&a| factors.iter().map(move |&b| (a, b))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_are_cut_by_every_method_but_min_max() {
        let mut values: Vec<f32> = (0..100_000).map(|i| ((i * 7919) % 10_007) as f32 / 10_007.0 - 0.5).collect();
        values.push(40.0);
        let mut histogram = Histogram::new(-0.5, 40.0);
        histogram.add(&values);
        assert_eq!(histogram.range(Method::MinMax), (-0.5, 40.0));
        for method in [Method::Percentile(99.99), Method::Entropy, Method::MeanSquare] {
            let (lo, hi) = histogram.range(method);
            assert!(lo <= 0.0 && hi < 40.0, "{method:?}: {lo} {hi}");
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
