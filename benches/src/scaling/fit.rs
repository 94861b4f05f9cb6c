//! Least squares with relative errors and coefficients that are not negative.

use super::Point;

/// `figure = c0 + c1 f(parameters) + c2 f(activations)`, with `f` the identity or the squared binary logarithm.
pub(super) struct Fit {
    coefficients: [f64; 3],
    logarithmic: bool,
    /// Mean of `|fitted / measured - 1|`.
    error: f64,
}

impl Fit {
    /// Fits figure `at` of the points.
    pub(super) fn new(points: &[Point], at: usize, logarithmic: bool) -> Self {
        // Every equation is divided by its measured value, so that errors are relative.
        let equations: Vec<([f64; 3], f64)> = points
            .iter()
            .filter(|p| p.figures[at] > 0.0)
            .map(|p| (features(p.parameters, p.activations, logarithmic), p.figures[at]))
            .collect();
        let mut used = vec![0, 1, 2];
        let coefficients = loop {
            let solved = solve(&equations, &used);
            let negative =
                used.iter().copied().filter(|&i| solved[i] < 0.0).min_by(|&a, &b| solved[a].total_cmp(&solved[b]));
            match negative {
                Some(worst) => used.retain(|&i| i != worst),
                None => break solved,
            }
        };
        let mut fit = Self { coefficients, logarithmic, error: 0.0 };
        let errors = points.iter().filter(|p| p.figures[at] > 0.0);
        let errors: Vec<f64> =
            errors.map(|p| (fit.at(p.parameters, p.activations) / p.figures[at] - 1.0).abs()).collect();
        fit.error = errors.iter().sum::<f64>() / (errors.len() as f64).max(1.0);
        fit
    }

    /// The fitted figure.
    pub(super) fn at(&self, parameters: f64, activations: f64) -> f64 {
        features(parameters, activations, self.logarithmic).iter().zip(self.coefficients).map(|(f, c)| f * c).sum()
    }

    /// The formula.
    pub(super) fn describe(&self) -> String {
        let [c0, c1, c2] = self.coefficients;
        let of = |name: &str| if self.logarithmic { format!("log2({name})^2") } else { name.to_owned() };
        format!(
            "{c0:.3e} + {c1:.3e} {} + {c2:.3e} {}, mean error {:.0} %",
            of("parameters"),
            of("(activations x batch)"),
            self.error * 100.0
        )
    }
}

fn features(parameters: f64, activations: f64, logarithmic: bool) -> [f64; 3] {
    let f = |x: f64| if logarithmic { x.max(1.0).log2().powi(2) } else { x };
    [1.0, f(parameters), f(activations)]
}

/// Coefficients of the used features by the normal equations, 0 for the others.
fn solve(equations: &[([f64; 3], f64)], used: &[usize]) -> [f64; 3] {
    let n = used.len();
    let mut matrix = vec![vec![0.0; n + 1]; n];
    // Columns are scaled to one, against rounding.
    let scale: Vec<f64> =
        used.iter().map(|&i| equations.iter().map(|(f, y)| (f[i] / y).abs()).fold(1e-300, f64::max)).collect();
    for (features, y) in equations {
        let row: Vec<f64> = used.iter().zip(&scale).map(|(&i, s)| features[i] / y / s).collect();
        for (a, line) in matrix.iter_mut().enumerate() {
            for (b, cell) in line.iter_mut().enumerate() {
                *cell += row[a] * row.get(b).copied().unwrap_or(1.0);
            }
        }
    }
    for pivot in 0..n {
        let best = (pivot..n).max_by(|&a, &b| matrix[a][pivot].abs().total_cmp(&matrix[b][pivot].abs()));
        matrix.swap(pivot, best.unwrap_or(pivot));
        let row = matrix[pivot].clone();
        if row[pivot].abs() < 1e-14 {
            continue;
        }
        for (_, line) in matrix.iter_mut().enumerate().filter(|&(at, _)| at != pivot) {
            let factor = line[pivot] / row[pivot];
            line.iter_mut().zip(&row).for_each(|(cell, r)| *cell -= factor * r);
        }
    }
    let mut out = [0.0; 3];
    for (at, (&i, s)) in used.iter().zip(&scale).enumerate() {
        let pivot = matrix[at][at];
        out[i] = if pivot.abs() < 1e-14 { 0.0 } else { matrix[at][n] / pivot / s };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_coefficients_are_found() {
        let point = |p: f64, a: f64| Point {
            series: String::new(),
            parameters: p,
            activations: a,
            figures: vec![0.01 + 3e-8 * p + 5e-7 * a],
        };
        let points: Vec<Point> =
            [(1e4, 1e3), (1e5, 1e4), (1e6, 2e3), (1e7, 1e6), (1e5, 1e6)].map(|(p, a)| point(p, a)).into();
        let fit = Fit::new(&points, 0, false);
        assert!(fit.error < 1e-6, "{}", fit.describe());
        assert!((fit.at(2e6, 3e5) / (0.01 + 0.06 + 0.15) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn no_coefficient_is_negative() {
        let point =
            |p: f64, y: f64| Point { series: String::new(), parameters: p, activations: 1e9 / p, figures: vec![y] };
        let points: Vec<Point> = [(1e4, 1.0), (1e5, 2.0), (1e6, 9.0), (1e7, 80.0)].map(|(p, y)| point(p, y)).into();
        assert!(Fit::new(&points, 0, false).coefficients.iter().all(|&c| c >= 0.0));
    }
}
