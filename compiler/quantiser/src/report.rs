//! How far the quantised model is from the float one.

use crate::plan::Forms;

/// One layer of the quantised model.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Name of the tensor that the layer computes.
    pub output: String,
    /// Operator.
    pub operator: String,
    /// Scale of the tensor.
    pub scale: f32,
    /// Zero point of the tensor.
    pub zero_point: i32,
    /// Largest difference to the float model, over all evaluated samples.
    pub max_error: f32,
    /// Cosine between the tensor and that of the float model, least over the evaluated samples.
    pub cosine: f64,
    /// How much quantising this layer alone turns the output: 1 minus the cosine of the outputs.
    pub sensitivity: f64,
    /// Exact forms of its rescaling, where it has one.
    pub forms: Option<Forms>,
}

/// End-to-end comparison with the float model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Samples compared.
    pub samples: usize,
    /// Share of samples with the same largest element of the first output.
    pub top1_agreement: f64,
    /// Cosine of the outputs, mean over the samples; of all samples' outputs at once where each is a single number.
    pub cosine: f64,
    /// Cosine of the outputs, least over the samples.
    pub least_cosine: f64,
    /// Largest difference of an output element.
    pub max_error: f32,
}

/// Cosine of the angle between two vectors; 1 if both are zero.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 || bb == 0.0 {
        return if aa == bb { 1.0 } else { 0.0 };
    }
    dot(a, b) / (aa * bb).sqrt()
}

/// Largest difference.
pub(crate) fn max_error(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |m, (x, y)| m.max((x - y).abs()))
}

fn largest(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|&i, &j| values[i].total_cmp(&values[j]).then(j.cmp(&i)))
}

/// Compares outputs of two models, one list of values per sample and output.
pub fn compare(float: &[Vec<Vec<f32>>], quantised: &[Vec<Vec<f32>>]) -> Accuracy {
    let samples = float.len().min(quantised.len());
    let (mut agree, mut sum, mut least, mut worst) = (0, 0.0, 1.0f64, 0.0f32);
    for (f, q) in float.iter().zip(quantised) {
        let first = |outputs: &[Vec<f32>]| outputs.first().and_then(|values| largest(values));
        agree += usize::from(first(f) == first(q));
        let (all_f, all_q) = (f.concat(), q.concat());
        let cosine = cosine(&all_f, &all_q);
        sum += cosine;
        least = least.min(cosine);
        worst = worst.max(max_error(&all_f, &all_q));
    }
    let n = samples.max(1) as f64;
    if float.iter().all(|outputs| outputs.iter().map(Vec::len).sum::<usize>() == 1) {
        let all = |outputs: &[Vec<Vec<f32>>]| outputs.iter().flatten().flatten().copied().collect::<Vec<f32>>();
        least = cosine(&all(float), &all(quantised));
        sum = least * n;
    }
    Accuracy {
        samples,
        top1_agreement: f64::from(agree as u32) / n,
        cosine: sum / n,
        least_cosine: least,
        max_error: worst,
    }
}
