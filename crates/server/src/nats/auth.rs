//! How a hub shows NATS who it is, and what to do when NATS does not believe it.

use std::error::Error as _;
use std::io;

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use super::config::NatsConfig;

/// Adds the credentials and the trusted authorities of a configuration to options.
///
/// # Errors
///
/// If the credentials cannot be used.
pub(super) fn with_auth(
    mut options: ConnectOptions,
    config: &NatsConfig,
    servers: &[ServerAddr],
) -> io::Result<ConnectOptions> {
    if let Some(text) = &config.credentials {
        options = match seed(text) {
            Some(seed) => options.nkey(seed.to_owned()),
            None => options.credentials(text)?,
        };
    }
    if let Some(file) = &config.certificates {
        options = options.add_root_certificates(file.clone());
    }
    // The client does not look for them in addresses.
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let named = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    Ok(match named {
        Some((user, Some(password))) => options.user_and_password(decoded(user), decoded(password)),
        Some((token, None)) => options.token(decoded(token)),
        None => options,
    })
}

/// The seed of an NKey, if a file of credentials has one and nothing else.
fn seed(text: &str) -> Option<&str> {
    let is_of_seed = |c: char| c.is_ascii_uppercase() || ('2'..='7').contains(&c);
    let text = text.trim();
    (text.starts_with('S') && text.chars().all(is_of_seed)).then_some(text)
}

/// Says why there is no connection, and what to do about it.
pub(super) fn sentence(error: &ConnectError) -> Box<str> {
    let advice = match error.kind() {
        ConnectErrorKind::AuthorizationViolation => {
            "the server does not accept who this hub is: check the file of --nats-creds, or the user \
             and password, or the token, in the address"
        }
        ConnectErrorKind::Authentication => {
            "the server asks for a signature that this hub cannot make: check the file of --nats-creds"
        }
        _ if is_of_tls(error) => {
            "there is no TLS with the server: its certificate must be for the host in the address, and \
             of an authority that this machine or --nats-ca trusts"
        }
        ConnectErrorKind::Dns => "no address is known for the host",
        _ => return error.to_string().into(),
    };
    format!("{advice} ({error})").into()
}

/// Returns whether an error is that of a handshake, which the client takes for one of the socket.
fn is_of_tls(error: &ConnectError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.kind() == ConnectErrorKind::Tls
        || source.is_some_and(|source| source.kind() == io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_credentials_may_be_a_seed_alone() {
        let seed_text = format!("S{}", "UA7".repeat(19));
        assert_eq!(seed(&format!("{seed_text}\n")), Some(&*seed_text));
        for other in ["", "-----BEGIN NATS USER JWT-----\nabc", "Sabc", "S U"] {
            assert_eq!(seed(other), None, "{other:?}");
        }
    }
}
