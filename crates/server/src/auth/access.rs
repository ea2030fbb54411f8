//! The access of a request's sender: what it may publish, read and manage.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidings_hub::{
    Grant as ReadGrant, IdempotencyKey, InvalidIdempotencyKey, Time, Topic, TopicFilter, View,
};

use super::grant::Grant;
use super::known::digest_of;
use crate::engine::subject::Subject;
use crate::http::problem::{Problem, ProblemKind};

/// The access of a request's sender.
#[derive(Clone, Debug, Default)]
pub(crate) enum Access {
    /// Everything: no authentication is configured.
    #[default]
    Open,
    /// Reading public topics: there is no token.
    Anonymous(ReadGrant),
    /// The grant of a token or of an API key.
    Granted(Arc<Grant>),
}

/// An act that needs a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Publish,
    Subscribe,
    Stop,
    Manage,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Stop => "stop",
            Self::Manage => "manage",
        }
    }

    /// The act in a sentence, before a topic.
    fn doing(self) -> &'static str {
        match self {
            Self::Publish => "publishing to",
            Self::Subscribe => "subscribing to",
            Self::Stop => "stopping the stream of",
            Self::Manage => "managing",
        }
    }
}

impl Access {
    /// The subject of the token, if it has one.
    pub(crate) fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Granted(grant) => grant.subject.as_ref(),
            Self::Open | Self::Anonymous(_) => None,
        }
    }

    /// Returns whether it is that of an API key, which the configuration gives to someone who is known.
    pub(crate) fn is_configured(&self) -> bool {
        matches!(self, Self::Granted(grant) if grant.is_configured())
    }

    /// The data that the token's issuer put into it.
    pub(crate) fn payload(&self) -> Option<&Value> {
        match self {
            Self::Granted(grant) => grant.payload.as_ref(),
            Self::Open | Self::Anonymous(_) => None,
        }
    }

    /// The time until the grant ends; `None` if it does not.
    pub(crate) fn lasts(&self, now: Time) -> Option<Duration> {
        let Self::Granted(grant) = self else { return None };
        let left = grant.expires?.unix_millis().saturating_sub(now.unix_millis());
        Some(Duration::from_millis(left))
    }

    /// The idempotency key of this sender alone: the same text of another subject is another key, so
    /// that nobody is answered what somebody else has published, and nobody can take a key away.
    pub(crate) fn own_key(&self, text: &str) -> Result<IdempotencyKey, InvalidIdempotencyKey> {
        let key = IdempotencyKey::new(text)?;
        if matches!(self, Self::Open) {
            return Ok(key);
        }
        // Neither of the two has a line end, so no other two give the same text.
        let subject = self.subject().map_or("", Subject::as_str);
        let digest = digest_of(&format!("{subject}\n{text}"));
        IdempotencyKey::new(&digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// Narrows a view to what may be read. A pattern may be wider than the grant; a topic may not.
    ///
    /// # Errors
    ///
    /// The problem names the first topic that may not be read.
    pub(crate) fn view(&self, view: View) -> Result<View, Problem> {
        let read = match self {
            Self::Open => return Ok(view),
            Self::Anonymous(read) => read,
            Self::Granted(grant) => &grant.read,
        };
        for filter in view.filters() {
            if let TopicFilter::Exact(topic) = filter
                && !read.allows_topic(topic.as_str())
            {
                return Err(self.refused(Act::Subscribe, topic.as_str()));
            }
        }
        Ok(view.with_grant(read.clone()))
    }

    /// Refuses to publish an event to these topics unless each of them may be published to.
    pub(crate) fn may_publish(&self, topics: &[Topic]) -> Result<(), Problem> {
        let refused = topics.iter().find(|topic| match self {
            Self::Open => false,
            Self::Anonymous(_) => true,
            Self::Granted(grant) => {
                !grant.rights.publish.iter().any(|filter| filter.matches(topic.as_str()))
            }
        });
        refused.map_or(Ok(()), |topic| Err(self.refused(Act::Publish, topic.as_str())))
    }

    /// Refuses a request that publishes from a sender that may publish nothing at all, before its
    /// body is read.
    pub(crate) fn may_publish_anything(&self) -> Result<(), Problem> {
        match self {
            Self::Granted(grant) if grant.rights.publish.is_empty() => {
                Err(self.refused(Act::Publish, "**"))
            }
            Self::Anonymous(_) => Err(self.refused(Act::Publish, "**")),
            Self::Open | Self::Granted(_) => Ok(()),
        }
    }

    /// Refuses to stop the stream of a topic without the right to.
    pub(crate) fn may_stop(&self, topic: &Topic) -> Result<(), Problem> {
        let may = match self {
            Self::Open => true,
            Self::Anonymous(_) => false,
            Self::Granted(grant) => {
                grant.rights.stop.iter().any(|filter| filter.matches(topic.as_str()))
            }
        };
        if may { Ok(()) } else { Err(self.refused(Act::Stop, topic.as_str())) }
    }

    /// Refuses to manage the topics of a filter unless the right covers all of them.
    pub(crate) fn may_manage(&self, filter: &TopicFilter) -> Result<(), Problem> {
        match self.manages(filter) {
            true => Ok(()),
            false => Err(self.refused(Act::Manage, filter.as_str())),
        }
    }

    /// Refuses to manage everything unless the right is for `**`.
    pub(crate) fn may_manage_all(&self) -> Result<(), Problem> {
        self.may_manage(&all())
    }

    /// The topics that may be managed; `None` if all may.
    ///
    /// # Errors
    ///
    /// The problem of a sender that may manage nothing.
    pub(crate) fn managed(&self) -> Result<Option<&[TopicFilter]>, Problem> {
        match self {
            Self::Open => Ok(None),
            Self::Granted(_) if self.manages(&all()) => Ok(None),
            Self::Granted(grant) if !grant.rights.manage.is_empty() => {
                Ok(Some(&grant.rights.manage))
            }
            Self::Anonymous(_) | Self::Granted(_) => Err(self.refused(Act::Manage, "**")),
        }
    }

    fn manages(&self, filter: &TopicFilter) -> bool {
        match self {
            Self::Open => true,
            Self::Anonymous(_) => false,
            Self::Granted(grant) => {
                grant.rights.manage.iter().any(|granted| granted.covers(filter))
            }
        }
    }

    /// The problem of an act without its right.
    fn refused(&self, act: Act, topic: &str) -> Problem {
        let (doing, act) = (act.doing(), act.name());
        let problem = match self {
            Self::Granted(_) => {
                let detail = format!(
                    "this token does not allow {doing} '{topic}': its claim 'tidings.{act}' does not \
                     cover it"
                );
                Problem::new(ProblemKind::NotGranted, detail)
            }
            Self::Open | Self::Anonymous(_) => {
                let detail = format!(
                    "{doing} '{topic}' needs a token: send it as 'Authorization: Bearer …'"
                );
                Problem::new(ProblemKind::TokenMissing, detail)
            }
        };
        problem.with("topic", topic).with("right", act)
    }
}

/// The filter that matches every topic.
fn all() -> TopicFilter {
    TopicFilter::pattern("**").expect("this is a pattern")
}

/// Returns whether a view has a topic that its grant does not allow, as it may be after a reload.
pub(crate) fn is_closed(view: &View) -> bool {
    view.filters().iter().any(|filter| match filter {
        TopicFilter::Exact(topic) => !view.grant().allows_topic(topic.as_str()),
        _ => false,
    })
}

/// Returns whether everything that a view asks for is within some patterns.
pub(crate) fn is_within(view: &View, patterns: &[TopicFilter]) -> bool {
    view.filters().iter().all(|filter| patterns.iter().any(|pattern| pattern.covers(filter)))
}
