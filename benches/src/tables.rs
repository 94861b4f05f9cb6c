//! Markdown tables of the measurements.

use serde_json::{Map, Value};

use crate::format::{bytes, milliseconds, seconds};

/// Median of a figure over the runs of a step (`/pointer` into each); none if a run lacks it.
fn median(runs: &Value, pointer: &str) -> Option<f64> {
    let runs = runs.as_array().map_or(std::slice::from_ref(runs), Vec::as_slice);
    let mut figures: Vec<f64> = runs.iter().map(|run| run.pointer(pointer)?.as_f64()).collect::<Option<_>>()?;
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    Some(if figures.len() % 2 == 1 { upper } else { (figures[middle - 1] + upper) / 2.0 })
}

/// Largest of a figure over the runs of a step.
fn largest(runs: &Value, pointer: &str) -> Option<f64> {
    let runs = runs.as_array().map_or(std::slice::from_ref(runs), Vec::as_slice);
    runs.iter().filter_map(|run| run.pointer(pointer)?.as_f64()).max_by(f64::total_cmp)
}

fn cell(figure: Option<f64>, show: fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".into(), show)
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn head(columns: &[&str]) -> String {
    let numbers = vec!["--:"; columns.len() - 1].join(" | ");
    format!("| {} |\n| --- | {numbers} |\n", columns.join(" | "))
}

/// Every model with `vinfer` alone.
pub(crate) fn own(models: &Map<String, Value>) -> String {
    let mut text = head(&[
        "model",
        "setup CPU s",
        "prove CPU s",
        "prove process CPU s",
        "key loading s",
        "verify ms",
        "proof",
        "vk",
        "pk",
        "peak RSS prove",
        "proven bits",
    ]);
    for (model, systems) in models {
        let steps = &systems["vinfer"];
        let (setup, prove, verify) = (&steps["setup"], &steps["prove"], &steps["verify"]);
        text += &row(&[
            model.clone(),
            cell(median(setup, "/report/cpu_seconds"), seconds),
            cell(median(prove, "/report/cpu_seconds"), seconds),
            cell(median(prove, "/process/cpu_seconds"), seconds),
            cell(median(prove, "/report/load_seconds"), seconds),
            cell(median(verify, "/report/verify_seconds"), milliseconds),
            cell(median(prove, "/report/proof_bytes"), bytes),
            cell(median(setup, "/report/vk_bytes"), bytes),
            cell(median(setup, "/report/pk_bytes"), bytes),
            cell(largest(prove, "/process/peak_rss_bytes"), bytes),
            cell(median(verify, "/report/security_bits"), |bits| format!("{bits:.1}")),
        ]);
    }
    text
}

/// Both systems side by side; processor times are of whole processes, key loading included.
pub(crate) fn comparison(models: &Map<String, Value>) -> String {
    let mut text = head(&[
        "model, system",
        "compile CPU s",
        "setup CPU s",
        "prove CPU s",
        "of it after loading keys",
        "verify CPU s",
        "verify call ms",
        "proof",
        "vk",
        "pk",
        "reference string",
        "its CPU s",
        "peak RSS setup",
        "peak RSS prove",
        "output class",
    ]);
    let cpu = |step: &Value| median(step, "/process/cpu_seconds");
    let rss = |step: &Value| cell(largest(step, "/process/peak_rss_bytes"), bytes);
    let sum = |steps: &[&Value]| steps.iter().map(|step| cpu(step)).sum::<Option<f64>>();
    for (model, systems) in models {
        let own = &systems["vinfer"];
        text += &row(&[
            format!("{model}, vinfer"),
            cell(cpu(&own["compile"]), seconds),
            cell(cpu(&own["setup"]), seconds),
            cell(cpu(&own["prove"]), seconds),
            cell(median(&own["prove"], "/report/cpu_seconds"), seconds),
            cell(cpu(&own["verify"]), seconds),
            cell(median(&own["verify"], "/report/verify_seconds"), milliseconds),
            cell(median(&own["prove"], "/report/proof_bytes"), bytes),
            cell(median(&own["setup"], "/report/vk_bytes"), bytes),
            cell(median(&own["setup"], "/report/pk_bytes"), bytes),
            "none".into(),
            "–".into(),
            rss(&own["setup"]),
            rss(&own["prove"]),
            class(
                own.pointer("/prove/0/report/outputs")
                    .and_then(Value::as_object)
                    .and_then(|outputs| outputs.values().next()?.get(0)),
            ),
        ]);
        let peer = &systems["ezkl"];
        text += &row(&[
            format!("{model}, EZKL"),
            cell(sum(&[&peer["settings"], &peer["calibrate"], &peer["compile"]]), seconds),
            cell(cpu(&peer["setup"]), seconds),
            cell(sum(&[&peer["witness"], &peer["prove"]]), seconds),
            // EZKL's call reads its key file itself and does not say how long that takes.
            "–".into(),
            cell(cpu(&peer["verify"]), seconds),
            cell(median(&peer["verify"], "/report/call_seconds"), milliseconds),
            cell(median(&peer["prove"], "/report/proof_bytes"), bytes),
            cell(median(&peer["bytes"], "/vk"), bytes),
            cell(median(&peer["bytes"], "/pk"), bytes),
            cell(median(&peer["bytes"], "/srs"), bytes),
            cell(cpu(&peer["srs"]), seconds),
            rss(&peer["setup"]),
            rss(&peer["prove"]),
            class(peer.pointer("/witness/report/outputs")),
        ]);
    }
    text
}

/// Position of the largest output.
fn class(outputs: Option<&Value>) -> String {
    let scores = outputs.and_then(Value::as_array).map(|scores| scores.iter().filter_map(Value::as_f64).enumerate());
    let best = scores.and_then(|scores| scores.max_by(|a, b| a.1.total_cmp(&b.1)));
    best.map_or_else(|| "–".into(), |(position, _)| position.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn median_of_runs_and_of_one() {
        let runs = json!([{ "a": { "b": 3.0 } }, { "a": { "b": 1 } }, { "a": { "b": 10.5 } }]);
        assert_eq!(median(&runs, "/a/b"), Some(3.0));
        assert_eq!(largest(&runs, "/a/b"), Some(10.5));
        assert_eq!(median(&json!([{ "b": 1 }, { "b": 4 }]), "/b"), Some(2.5));
        assert_eq!(median(&json!({ "b": 7 }), "/b"), Some(7.0));
        assert_eq!((median(&runs, "/c"), median(&json!([]), "/b"), median(&Value::Null, "/b")), (None, None, None));
    }

    #[test]
    fn failed_model_is_a_row_of_dashes() {
        let models = json!({ "iris_mlp": { "vinfer": { "error": "no" }, "ezkl": { "error": "no" } } });
        let models = models.as_object().unwrap();
        assert!(own(models).ends_with("| iris_mlp | – | – | – | – | – | – | – | – | – | – |\n"));
        assert!(comparison(models).contains("| iris_mlp, EZKL | – |"));
    }
}
