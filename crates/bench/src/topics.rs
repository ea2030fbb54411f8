//! The names of a run's topics.

/// The names of the topics of one run. No other run uses them, so the server's history holds no
/// other events of theirs.
#[derive(Clone, Debug)]
pub(crate) struct Topics(Vec<String>);

impl Topics {
    pub(crate) fn new(run: u32, count: u32) -> Self {
        Self((0..count).map(|number| format!("bench-{run:08x}-{number}")).collect())
    }

    pub(crate) fn name(&self, topic: u32) -> &str {
        &self.0[topic as usize]
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.len() as u32
    }
}
