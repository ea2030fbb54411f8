//! Statistics over several rounds, and how figures are written.

/// The median of some figures, and their spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Middle {
    pub median: f64,
    /// The difference between the greatest and the least, as a fraction of the median.
    pub spread: f64,
}

impl Middle {
    /// Returns the statistics of some figures, if there are any.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        };
        let spread = if median == 0.0 { 0.0 } else { (greatest - least) / median.abs() };
        Some(Self { median, spread })
    }
}

/// Writes a figure with separated thousands, or a dash.
#[must_use]
pub fn show(figure: Option<f64>, decimals: usize) -> String {
    let Some(figure) = figure.filter(|figure| figure.is_finite()) else { return "–".to_owned() };
    let text = format!("{figure:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut shown = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::{Middle, show};

    fn check(figures: &[f64], median: f64, spread: f64) {
        assert_eq!(Middle::of(figures.iter().copied()), Some(Middle { median, spread }));
    }

    #[test]
    fn one_figure_in_the_middle_or_the_mean_of_two() {
        check(&[7.0], 7.0, 0.0);
        check(&[9.0, 1.0, 2.0], 2.0, 4.0);
        check(&[4.0, 1.0, 2.0, 2.0], 2.0, 1.5);
        check(&[0.0, 0.0], 0.0, 0.0);
    }

    #[test]
    fn of_nothing_there_is_no_middle() {
        assert_eq!(Middle::of([]), None);
    }

    #[test]
    fn figures_are_written_with_their_thousands_apart() {
        for (figure, decimals, wanted) in [
            (0.0, 0, "0"),
            (999.4, 0, "999"),
            (1000.0, 0, "1,000"),
            (1234567.891, 2, "1,234,567.89"),
            (-1234.0, 0, "-1,234"),
            (-123.0, 0, "-123"),
        ] {
            assert_eq!(show(Some(figure), decimals), wanted);
        }
        assert_eq!(show(None, 0), "–");
        assert_eq!(show(Some(f64::INFINITY), 0), "–");
    }
}
