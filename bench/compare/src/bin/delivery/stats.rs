//! Statistics over several rounds.

/// The median of some figures, and their spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Middle {
    pub(crate) median: f64,
    /// The difference between the greatest and the least, as a fraction of the median.
    pub(crate) spread: f64,
}

impl Middle {
    /// Returns the statistics of some figures, if there are any.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::Middle;

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
}
