//! Random starts of readers.

use tidings_hub::{Cursor, Epoch, Sequence, Start, TopicFilter, View};

use super::expectation::Expectation;
use super::schedule::Schedule;

impl Schedule {
    /// Where a reader starts, its view, and what is expected of it.
    pub fn open(&mut self) -> (Start, View, Expectation) {
        let (start, view) = self.start();
        let expected = Expectation::new(&self.reference, view.clone(), &start);
        (start, view, expected)
    }

    fn start(&mut self) -> (Start, View) {
        let view = self.view();
        let cursor = |epoch, sequence| Cursor { epoch, sequence: Sequence::new(sequence).unwrap() };
        let (tail, committed) = (self.reference.tail, self.reference.committed);
        let start = match self.rng.u32(0..20) {
            0..3 => Start::Tail,
            3..6 => Start::Oldest,
            6 => {
                self.counts.add("foreign epochs", 1);
                cursor(Epoch::new(2).unwrap(), self.rng.u64(0..tail + 2)).into()
            }
            7 => {
                self.counts.add("places past the tail", 1);
                let past = [1, 2, 1_000, Sequence::MAX.get() - committed][self.rng.usize(0..4)];
                cursor(self.reference.epoch, committed + past).into()
            }
            8 => cursor(self.reference.epoch, self.rng.u64(0..tail + 1)).into(),
            // As a publisher that subscribes after its own event, of which the feed knows nothing yet.
            13 if tail < committed => {
                self.counts.add("places past the feed", 1);
                cursor(self.reference.epoch, self.rng.u64(tail + 1..committed + 1)).into()
            }
            9..12 => Start::After(self.given_id().into()),
            12 => Start::After("nowhere".repeat(self.rng.usize(1..60)).into()),
            _ => {
                let Some(at) = self.left.len().checked_sub(1) else { return (Start::Tail, view) };
                let (id, view) = self.left.swap_remove(self.rng.usize(0..=at));
                self.counts.add("resumes", 1);
                return (Start::After(id.into()), view);
            }
        };
        (start, view)
    }

    fn view(&mut self) -> View {
        let patterns = ["a/*", "**", "*/1", "a/**", "*"];
        let filter = |this: &mut Self| match this.rng.u32(0..4) {
            0 => TopicFilter::pattern(patterns[this.rng.usize(0..patterns.len())]).unwrap(),
            _ => this.topic().into(),
        };
        match self.rng.u32(0..30) {
            // Sees nothing.
            0 => View::new([]),
            1..10 => self.topic().into(),
            10..20 => {
                let topics: Vec<_> =
                    (0..self.rng.usize(1..4)).map(|_| self.topic().into()).collect();
                View::new(topics)
            }
            _ => {
                let filters: Vec<_> = (0..self.rng.usize(1..4)).map(|_| filter(self)).collect();
                View::new(filters)
            }
        }
    }
}
