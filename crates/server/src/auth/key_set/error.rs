//! The reason why a key set could not be fetched.

use std::error::Error;
use std::{fmt, io};

use http::StatusCode;

/// The reason why a key set could not be fetched.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeySetError {
    /// No connection to its server.
    Connect(io::Error),
    /// The server's name in clear text is not on this machine.
    NotLoopback,
    /// The server did not answer as HTTP has it.
    Http(Box<dyn Error + Send + Sync>),
    /// The answer has another status than 200. Redirects are not followed: the URL of the
    /// configuration is the one that is trusted.
    Status(StatusCode),
    /// The answer is larger than a key set.
    TooLarge {
        /// The maximum size.
        bytes_max: usize,
    },
    /// The answer took too long.
    TimedOut,
    /// The answer is not a key set.
    NotAKeySet(serde_json::Error),
    /// No key of the set can verify tokens.
    NoKeys,
    /// The set has more keys than an issuer uses.
    TooManyKeys {
        /// The maximum number.
        keys_max: usize,
    },
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("its server cannot be reached"),
            Self::NotLoopback => {
                f.write_str("its server is on another machine, where only https is safe")
            }
            Self::Http(_) => f.write_str("its server did not answer as HTTP has it"),
            Self::Status(status) => write!(f, "its server answered {status}"),
            Self::TooLarge { bytes_max } => write!(f, "the answer has more than {bytes_max} bytes"),
            Self::TimedOut => f.write_str("the answer took too long"),
            Self::NotAKeySet(_) => f.write_str("the answer is not a key set"),
            Self::NoKeys => f.write_str("the set has no key that can verify tokens"),
            Self::TooManyKeys { keys_max } => write!(f, "the set has more than {keys_max} keys"),
        }
    }
}

impl Error for KeySetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Http(error) => Some(&**error),
            Self::NotAKeySet(error) => Some(error),
            _ => None,
        }
    }
}
