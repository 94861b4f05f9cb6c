//! Processor time against parameters, both axes logarithmic, as SVG.

use super::Point;
use super::fit::Fit;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const MARGIN: f64 = 20.0;
const COLOURS: [&str; 6] = ["#1f6feb", "#9ec5fe", "#c2410c", "#fdba74", "#15803d", "#86efac"];

/// The measured points and the fitted curve of every series.
pub(super) fn svg(points: &[Point], fit: &Fit) -> String {
    let decades = |values: &mut dyn Iterator<Item = f64>| {
        let (least, most) = values.fold((f64::MAX, 0f64), |(a, b), v| (a.min(v), b.max(v)));
        (least.log10().floor(), most.log10().ceil())
    };
    let (x0, x1) = decades(&mut points.iter().map(|p| p.parameters));
    let (y0, y1) = decades(&mut points.iter().map(|p| p.figures[0]));
    let x = |v: f64| LEFT + (v.log10() - x0) / (x1 - x0).max(1.0) * (WIDTH - LEFT - MARGIN);
    let y = |v: f64| HEIGHT - BOTTOM - (v.log10() - y0) / (y1 - y0).max(1.0) * (HEIGHT - BOTTOM - MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for decade in x0 as i32..=x1 as i32 {
        let at = x(10f64.powi(decade));
        line(format!("<path d=\"M{at:.1} {MARGIN}V{:.1}\" stroke=\"#ddd\"/>", HEIGHT - BOTTOM));
        line(format!(
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">1e{decade}</text>",
            HEIGHT - BOTTOM + 18.0
        ));
    }
    for decade in y0 as i32..=y1 as i32 {
        let at = y(10f64.powi(decade));
        line(format!("<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/>", WIDTH - MARGIN));
        line(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">1e{decade}</text>", LEFT - 6.0, at + 4.0));
    }
    line(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">parameters</text>", WIDTH / 2.0, HEIGHT - 10.0));
    line(format!(
        "<text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">prove, CPU seconds</text>",
        HEIGHT / 2.0
    ));
    let mut series: Vec<&str> = points.iter().map(|p| p.series.as_str()).collect();
    series.sort_unstable();
    series.dedup();
    for (at, (name, colour)) in series.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let own: Vec<&Point> = points.iter().filter(|p| p.series == *name).collect();
        let curve: Vec<String> = own
            .iter()
            .map(|p| {
                format!("{:.1} {:.1}", x(p.parameters), y(fit.at(p.parameters, p.activations).max(10f64.powf(y0))))
            })
            .collect();
        line(format!("<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-dasharray=\"4 3\"/>", curve.join("L")));
        for p in own {
            line(format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>",
                x(p.parameters),
                y(p.figures[0])
            ));
        }
        let row = MARGIN + 16.0 + 18.0 * at as f64;
        line(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>", LEFT + 14.0, row - 4.0));
        line(format!("<text x=\"{:.1}\" y=\"{row:.1}\">{name}</text>", LEFT + 24.0));
    }
    out + "</svg>\n"
}
