//! Plots (SVG) of how counts grow.

use plotters::{element::DashedPathElement, prelude::*};

use crate::Error;

const SIZE: (u32, u32) = (760, 440);
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 3] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 50, 32),
    RGBColor(0, 130, 90),
];

/// One figure of the plot: two lines of one colour, with a dot for each count.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    /// Drawn as a solid line.
    pub first: Vec<(f64, f64)>,
    /// Drawn as a dashed line.
    pub repeated: Vec<(f64, f64)>,
}

/// Returns an SVG image of the series on logarithmic axes. Zeros are left out.
pub fn log_log(title: &str, across: &str, series: &[Series]) -> Result<String, Error> {
    let mut svg = String::new();
    draw(&mut svg, title, across, series)
        .map_err(|error| Error::Unmeasured(format!("can't draw the plot: {error}")))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    across: &str,
    series: &[Series],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || {
        let lines = series
            .iter()
            .flat_map(|series| [&series.first, &series.repeated]);
        lines.flatten()
    };
    let farthest = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let nearest = points().map(|(x, _)| *x).fold(farthest, f64::min);
    let highest = points().map(|(_, y)| *y).fold(10.0, f64::max);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (nearest..farthest * 1.3).log_scale(),
            (0.8..highest * 30.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(across)
        .x_label_formatter(&|size| format!("{size:.0}"))
        .y_label_formatter(&|count| format!("{count:.0}"))
        .label_style((FONT, 13))
        .light_line_style(WHITE)
        .draw()?;
    for (series, colour) in series.iter().zip(COLOURS.iter().cycle()) {
        let (first, repeated) = (shown(&series.first), shown(&series.repeated));
        let dots = first.iter().chain(&repeated);
        chart.draw_series(dots.map(|point| Circle::new(*point, 3, colour.filled())))?;
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(first, style))?
            .label(format!("{}, first", series.name))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        chart
            .draw_series(DashedLineSeries::new(repeated, 6, 5, style))?
            .label(format!("{}, repeated", series.name))
            .legend(move |(x, y)| DashedPathElement::new([(x, y), (x + 18, y)], 4, 3, style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font((FONT, 13))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

/// Leaves out zeros, which a logarithmic axis cannot show.
fn shown(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|(_, y)| *y > 0.0).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_names_and_a_dot_for_each_count_above_nothing() {
        let calls = Series {
            name: "calls".to_owned(),
            first: vec![(1.0, 4.0), (10.0, 13.0), (100.0, 20.0)],
            repeated: vec![(1.0, 1.0), (10.0, 0.0)],
        };
        let svg = log_log("Growth", "members", &[calls]).unwrap();
        for text in ["Growth", "members", "calls, first", "calls, repeated"] {
            assert!(svg.contains(&format!("{text}\n</text>")), "{text}");
        }
        assert_eq!(svg.matches("<circle").count(), 4);
    }
}
