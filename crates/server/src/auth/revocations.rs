//! Subjects whose tokens were revoked.

use std::collections::{HashMap, VecDeque};
use std::io;

use parking_lot::{Mutex, RwLock};
use tidings_hub::Time;
use tidings_hub::journal::DiskJournal;
use tidings_hub::journal::disk::Notes;
use tracing::warn;

use super::grant::{Grant, Issued};
use crate::engine::subject::Subject;

/// The moments at which the tokens of subjects were revoked: those issued before are refused.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    revoked: RwLock<Revoked>,
    /// Where they are kept for the next process, beside a journal on disk.
    notes: Mutex<Option<Notes>>,
    /// Subjects that other hubs have revoked, and that are to be kept there.
    unkept: Mutex<Vec<Subject>>,
}

#[derive(Debug, Default)]
struct Revoked {
    moments: HashMap<Box<str>, Moment>,
    /// The order in which they were revoked.
    order: VecDeque<Box<str>>,
}

/// The moment at which the tokens of a subject were revoked.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    time: Time,
    /// The moment that an entry of a journal tells, and the place of that entry: zero if there is none.
    told: Time,
    place: u64,
}

impl Revocations {
    /// The number of subjects that are remembered: some ten megabytes. More than that are revoked
    /// only if something is wrong; then the oldest are forgotten, and a warning says so.
    const SUBJECTS_MAX: usize = 100_000;
    /// The file in the journal's folder.
    const FILE: &'static str = "revocations";

    /// Reads those that the journal's folder keeps, and keeps further ones there. They are not entries,
    /// because tokens may last longer than events.
    pub(crate) fn keep_in(&self, journal: &DiskJournal) -> io::Result<()> {
        let found = journal.notes(Self::FILE)?;
        for line in &found.lines {
            let read = line.split_once(' ').and_then(|(millis, name)| {
                Some((Subject::new(name).ok()?, Time::from_unix_millis(millis.parse().ok()?)))
            });
            if let Some((subject, moment)) = read {
                self.revoke(&subject, moment);
            }
        }
        if found.damaged > 0 {
            warn!(lines = found.damaged, "revocations damaged");
        }
        *self.notes.lock() = Some(found.notes);
        Ok(())
    }

    /// Keeps the revocation of a subject for the next process, if there is a place for it. Waits for
    /// the disk.
    pub(crate) fn keep(&self, subject: &Subject) -> io::Result<()> {
        let line = |name: &str, moment: &Moment| format!("{} {name}", moment.time.unix_millis());
        let mut notes = self.notes.lock();
        let Some(notes) = &mut *notes else { return Ok(()) };
        let (subjects, moment) = {
            let revoked = self.revoked.read();
            (revoked.order.len(), revoked.moments.get(subject.as_str()).copied())
        };
        // Each line may be about a subject that was revoked again, or is forgotten.
        if notes.len() >= 2 * subjects.max(Self::LINES_MIN) {
            let lines: Vec<_> = {
                let Revoked { moments, order } = &*self.revoked.read();
                order.iter().filter_map(|name| Some(line(name, moments.get(name)?))).collect()
            };
            return notes.replace(lines.iter().map(String::as_str));
        }
        moment.map_or(Ok(()), |moment| notes.add(&line(subject.as_str(), &moment)))
    }

    /// A shorter file is not worth the work.
    const LINES_MIN: usize = 1000;

    /// Revokes the tokens of a subject that were issued before a moment.
    pub(crate) fn revoke(&self, subject: &Subject, moment: Time) {
        self.set(subject, Moment { time: moment, ..Moment::default() });
    }

    /// Notes that an entry at a place revokes the tokens of a subject that were issued before a moment. Returns
    /// whether that was not known.
    pub(crate) fn note(&self, subject: &Subject, moment: Time, place: u64) -> bool {
        let is_new = self.set(subject, Moment { time: moment, told: moment, place });
        if is_new && self.notes.lock().is_some() {
            self.unkept.lock().push(subject.clone());
        }
        is_new
    }

    /// The subjects that were noted since the last call and are to be kept for the next process.
    pub(crate) fn take_unkept(&self) -> Vec<Subject> {
        std::mem::take(&mut *self.unkept.lock())
    }

    /// Some of the subjects that no entry after a place tells, and their moments as entries told them.
    #[cfg(feature = "nats")]
    pub(crate) fn told_before(&self, place: u64, count_max: usize) -> Vec<(Subject, Time)> {
        let revoked = self.revoked.read();
        let untold = revoked.moments.iter().filter(|(_, moment)| moment.place <= place);
        let told = untold.take(count_max).filter_map(|(name, moment)| {
            let since = if moment.place > 0 { moment.told } else { moment.time };
            Some((Subject::new(name).ok()?, since))
        });
        told.collect()
    }

    /// All subjects and their moments.
    pub(crate) fn all(&self) -> Vec<(Subject, Time)> {
        let revoked = self.revoked.read();
        let all = revoked.moments.iter();
        all.filter_map(|(name, moment)| Some((Subject::new(name).ok()?, moment.time))).collect()
    }

    /// Returns whether the moment is later than the one that was known.
    fn set(&self, subject: &Subject, moment: Moment) -> bool {
        let mut revoked = self.revoked.write();
        let Revoked { moments, order } = &mut *revoked;
        let name = subject.as_str();
        if let Some(known) = moments.get_mut(name) {
            if moment.place >= known.place {
                (known.told, known.place) = (moment.told.max(known.told), moment.place);
            }
            if moment.time <= known.time {
                return false;
            }
            known.time = moment.time;
            // The latest revocations are forgotten last. A look at all of them is rare enough.
            if let Some(at) = order.iter().position(|other| **other == *name)
                && let Some(again) = order.remove(at)
            {
                order.push_back(again);
            }
            return true;
        }
        moments.insert(name.into(), moment);
        order.push_back(name.into());
        if order.len() > Self::SUBJECTS_MAX
            && let Some(oldest) = order.pop_front()
        {
            moments.remove(&oldest);
            warn!(subjects_max = Self::SUBJECTS_MAX, "oldest revocation forgotten");
        }
        true
    }

    /// Returns whether a grant is revoked.
    pub(crate) fn concern(&self, grant: &Grant) -> bool {
        let issued = match grant.issued {
            Issued::At(time) => Some(time),
            Issued::Unknown => None,
            Issued::ByConfiguration => return false,
        };
        grant.subject.as_ref().is_some_and(|subject| self.concerns(subject, issued))
    }

    /// Returns whether a token of a subject is revoked that was issued at a time, if it says so.
    fn concerns(&self, subject: &Subject, issued: Option<Time>) -> bool {
        let revoked = self.revoked.read();
        let moment = revoked.moments.get(subject.as_str());
        moment.is_some_and(|moment| issued.is_none_or(|issued| issued < moment.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_from_before_the_moment_are_revoked_and_those_without_a_date() {
        let revocations = Revocations::default();
        let (alice, bob) = (Subject::new("alice").unwrap(), Subject::new("bob").unwrap());
        let at = Time::from_unix_millis;
        revocations.revoke(&alice, at(5000));
        for (subject, issued, is_revoked) in [
            (&alice, Some(at(4999)), true),
            (&alice, Some(at(5000)), false),
            (&alice, None, true),
            (&bob, Some(at(1)), false),
            (&bob, None, false),
        ] {
            assert_eq!(revocations.concerns(subject, issued), is_revoked, "{subject:?} {issued:?}");
        }
        // A clock that is set back takes nothing back.
        revocations.revoke(&alice, at(1000));
        assert!(revocations.concerns(&alice, Some(at(4999))));
    }

    #[cfg(feature = "nats")]
    #[test]
    fn what_entries_no_longer_tell_is_told_again_with_its_moment() {
        let revocations = Revocations::default();
        let (alice, bob) = (Subject::new("alice").unwrap(), Subject::new("bob").unwrap());
        let at = Time::from_unix_millis;
        // Revoked here, before the entry has its place and its time.
        revocations.revoke(&alice, at(6000));
        assert_eq!(revocations.told_before(0, 9), [(alice.clone(), at(6000))]);
        assert!(!revocations.note(&alice, at(5000), 7), "it is known");
        assert_eq!(revocations.told_before(6, 9), []);
        assert_eq!(revocations.told_before(7, 9), [(alice.clone(), at(5000))]);
        assert!(revocations.note(&bob, at(5500), 8));
        assert!(!revocations.note(&alice, at(5000), 9), "told again");
        assert_eq!(revocations.told_before(8, 9), [(bob.clone(), at(5500))]);
        assert_eq!(revocations.told_before(9, 1).len(), 1);
        assert!(revocations.note(&alice, at(7000), 10), "revoked once more");
        assert!(revocations.concerns(&alice, Some(at(6999))));
        assert_eq!(revocations.all().len(), 2);
        assert!(revocations.take_unkept().is_empty(), "there is no folder");
    }

    #[test]
    fn the_latest_are_remembered() {
        let revocations = Revocations::default();
        let subject = |n: usize| Subject::new(&n.to_string()).unwrap();
        for n in 0..=Revocations::SUBJECTS_MAX {
            revocations.revoke(&subject(n), Time::from_unix_millis(1));
        }
        assert!(!revocations.concerns(&subject(0), None));
        assert!(revocations.concerns(&subject(1), None));
        assert!(revocations.concerns(&subject(Revocations::SUBJECTS_MAX), None));
    }
}
