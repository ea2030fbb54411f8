//! Random rules of topics.

use std::num::NonZeroUsize;
use std::time::Duration;

use fastrand::Rng;
use tidings_hub::{RetentionRule, TopicFilter, TopicLimits};

/// Some rules of topics, which replace the limits that others have.
pub(super) fn rules(rng: &mut Rng, is_kept: bool) -> Vec<RetentionRule> {
    let filters = ["a", "a/*", "b/**", "a/2/x"];
    let some = |rng: &mut Rng, max| NonZeroUsize::new(rng.usize(1..max)).unwrap();
    let limits = |rng: &mut Rng| match rng.u32(0..6) {
        // Some reach beneath what memory holds.
        0 => TopicLimits::default().with_events_max(some(rng, if is_kept { 60 } else { 6 })),
        1 => TopicLimits::default().with_bytes_max(some(rng, if is_kept { 9_000 } else { 1_500 })),
        // A journal that keeps its entries has limits on age in schedules of their own: see `age`.
        2 if !is_kept => TopicLimits::default().with_age_max(Duration::from_secs(rng.u64(1..30))),
        2 | 3 => TopicLimits::default(),
        _ => TopicLimits::default().latest_only(),
    };
    let chosen: Vec<_> = filters.into_iter().filter(|_| rng.bool()).collect();
    let rule = |text| RetentionRule::new(TopicFilter::pattern(text).unwrap(), limits(rng));
    chosen.into_iter().map(rule).collect()
}

/// Lets readers of some topics skip events. It decides by a generator of its own, so that seeds that have failed
/// before make the schedules they made then.
pub(super) fn conflate(rules: &mut [RetentionRule], seed: u64) {
    let mut rng = Rng::with_seed(!seed);
    for rule in rules.iter_mut().filter(|_| rng.bool()) {
        rule.limits.conflate = true;
    }
}

/// Gives the rules of topics whose readers skip nothing a limit on age, on a journal that keeps its entries. It decides by a
/// generator of its own, as [`conflate`] does.
pub(super) fn age(rules: &mut [RetentionRule], seed: u64) {
    let mut rng = Rng::with_seed(seed ^ 0x0a9e);
    for RetentionRule { limits, .. } in rules.iter_mut().filter(|rule| !rule.limits.latest_only) {
        limits.age_max = Some(Duration::from_secs(rng.u64(1..8)));
    }
}
