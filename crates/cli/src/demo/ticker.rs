//! Prices that wander.

/// A few prices, each moved a little at every step.
#[derive(Debug)]
pub(super) struct Ticker {
    prices: [Price; 4],
}

/// One price, in hundredths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) symbol: &'static str,
    hundredths: u32,
}

impl Price {
    pub(super) fn price(self) -> f64 {
        f64::from(self.hundredths) / 100.0
    }
}

impl Default for Ticker {
    fn default() -> Self {
        let price = |symbol, hundredths| Price { symbol, hundredths };
        Self {
            prices: [
                price("TIDE", 12_340),
                price("GULL", 4_815),
                price("REEF", 27_090),
                price("KELP", 980),
            ],
        }
    }
}

impl Ticker {
    /// Moves every price by up to half a percent, and never to nothing.
    pub(super) fn next_prices(&mut self) -> [Price; 4] {
        for price in &mut self.prices {
            let step = (price.hundredths / 200).max(1);
            let up = fastrand::u32(0..=2 * step);
            price.hundredths = (price.hundredths + up).saturating_sub(step).max(100);
        }
        self.prices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_move_by_half_a_percent_at_most_and_stay_above_zero() {
        let mut ticker = Ticker::default();
        for _ in 0..10_000 {
            let before = ticker.prices;
            for (price, before) in ticker.next_prices().into_iter().zip(before) {
                let step = price.hundredths.abs_diff(before.hundredths);
                assert!(step <= (before.hundredths / 200).max(1), "{price:?} after {before:?}");
                assert!(price.hundredths >= 100);
            }
        }
    }
}
