//! Scores, headlines and notices that could be.

use serde_json::{Value, json};

const HEADLINES: [&str; 8] = [
    "Harbour ferry adds a late crossing",
    "Lighthouse opens its doors on Sunday",
    "Gulls return two weeks early",
    "New tide tables printed",
    "Old pier gets a fresh coat of paint",
    "Record catch landed at dawn",
    "Regatta moved to Saturday",
    "Storm warning lifted along the coast",
];

const NOTICES: [&str; 6] = [
    "Your parcel is on its way",
    "Beta User mentioned you",
    "The build is green again",
    "Three new comments on your photo",
    "Your table is reserved for eight",
    "Theta User joined the channel",
];

const MATCHES: [(&str, &str); 2] = [("Anchors", "Buoys"), ("Dunes", "Capes")];
const MINUTES: u32 = 90;

/// The next items of each feed, and the scores of the matches.
#[derive(Debug, Default)]
pub(super) struct Words {
    headline: usize,
    notice: usize,
    minute: u32,
    goals: [[u32; 2]; 2],
}

impl Words {
    pub(super) fn next_headline(&mut self) -> &'static str {
        self.headline = (self.headline + 1) % HEADLINES.len();
        HEADLINES[self.headline]
    }

    pub(super) fn next_notice(&mut self) -> &'static str {
        self.notice = (self.notice + 1) % NOTICES.len();
        NOTICES[self.notice]
    }

    /// Three minutes on; when the matches are over, new ones begin.
    pub(super) fn next_scores(&mut self) -> Vec<Value> {
        self.minute += 3;
        if self.minute > MINUTES {
            (self.minute, self.goals) = (0, Default::default());
        }
        if self.minute > 0 && fastrand::u32(0..3) == 0 {
            self.goals[fastrand::usize(0..2)][fastrand::usize(0..2)] += 1;
        }
        let scores = MATCHES.iter().zip(self.goals).map(|((home, away), [ours, theirs])| {
            json!({
                "home": home,
                "away": away,
                "home_score": ours,
                "away_score": theirs,
                "minute": self.minute,
            })
        });
        scores.collect()
    }
}
