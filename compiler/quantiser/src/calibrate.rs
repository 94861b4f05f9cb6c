//! Ranges and histograms of all tensors over the calibration data.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use crate::error::QuantiseError;
use crate::graph::Graph;
use crate::histogram::Histogram;
use crate::roles::roots;
use crate::run::run;
use crate::tensor::{Tensor, check_finite};

/// Most elements along the last axis for which a range per channel is kept.
const MAX_CHANNELS: usize = 1 << 14;

/// What the calibration data say about one tensor.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub min: f32,
    pub max: f32,
    /// Largest size per element of the last axis.
    pub channels: Vec<f32>,
    pub histogram: Histogram,
}

impl Observation {
    pub(crate) fn new(values: &[f32]) -> Self {
        let (min, max) = range(values);
        let mut histogram = Histogram::new(min, max);
        histogram.add(values);
        Self { min, max, channels: Vec::new(), histogram }
    }
}

/// Observations by tensor; tensors moved from another are not listed.
pub(crate) type Observations = BTreeMap<String, Observation>;

/// Runs all samples, twice: for the ranges, and for the histograms within them.
///
/// # Errors
/// The model cannot be computed, or a tensor holds NaN or infinite values.
pub(crate) fn calibrate(graph: &Graph, samples: &[Vec<Tensor>]) -> Result<Observations, QuantiseError> {
    let roots = roots(graph);
    let is_root = |name: &str| roots.get(name).is_none_or(|root| root == name);
    let ranges = samples
        .par_iter()
        .map(|sample| {
            let mut seen: HashMap<String, (f32, f32, Vec<f32>)> = HashMap::new();
            let mut trouble = Ok(());
            run(graph, sample, &mut |name, tensor| {
                if let (true, Some(values)) = (is_root(name), tensor.as_floats()) {
                    if trouble.is_ok() {
                        trouble = check_finite(name, tensor);
                    }
                    let (min, max) = range(values);
                    seen.insert(name.to_owned(), (min, max, channel_sizes(&tensor.dims, values)));
                }
            })?;
            trouble.map(|()| seen)
        })
        .try_reduce(HashMap::new, |mut all, more| {
            for (name, (min, max, channels)) in more {
                let entry = all.entry(name).or_insert_with(|| (min, max, channels.clone()));
                (entry.0, entry.1) = (entry.0.min(min), entry.1.max(max));
                entry.2.iter_mut().zip(channels).for_each(|(a, b)| *a = a.max(b));
            }
            Ok(all)
        })?;
    let empty = || -> BTreeMap<&str, Histogram> {
        ranges.iter().map(|(name, (min, max, _))| (name.as_str(), Histogram::new(*min, *max))).collect()
    };
    let histograms = samples
        .par_chunks(samples.len().div_ceil(rayon::current_num_threads().max(1)).max(1))
        .map(|samples| {
            let mut histograms = empty();
            for sample in samples {
                run(graph, sample, &mut |name, tensor| {
                    if let (Some(histogram), Some(values)) = (histograms.get_mut(name), tensor.as_floats()) {
                        histogram.add(values);
                    }
                })?;
            }
            Ok(histograms)
        })
        .try_reduce(empty, |mut all, more| {
            for (name, histogram) in more {
                if let Some(entry) = all.get_mut(name) {
                    entry.merge(&histogram);
                }
            }
            Ok(all)
        })?;
    Ok(histograms
        .into_iter()
        .filter_map(|(name, histogram)| {
            let (min, max, channels) = ranges.get(name)?.clone();
            Some((name.to_owned(), Observation { min, max, channels, histogram }))
        })
        .collect())
}

/// Least and largest element; zero belongs to every range.
fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((0.0, 0.0), |(lo, hi): (f32, f32), &v| (lo.min(v), hi.max(v)))
}

/// Largest size per element of the last axis.
pub(crate) fn channel_sizes(dims: &[usize], values: &[f32]) -> Vec<f32> {
    let width = dims.last().copied().unwrap_or(0);
    if width == 0 || width > MAX_CHANNELS || dims.len() < 2 {
        return Vec::new();
    }
    let mut sizes = vec![0.0f32; width];
    for row in values.chunks_exact(width) {
        sizes.iter_mut().zip(row).for_each(|(s, v)| *s = s.max(v.abs()));
    }
    sizes
}
