//! The meaning of the command lines of `token` and `key`.

use std::env;
use std::io::{self, Read as _};
use std::time::Duration;

use tidings_hub::{Now, Time};
use tidings_server::{AuthConfig, Rights, SigningKey, TokenClaims};

use super::auth::{algorithm, pattern, read_key};
use super::file::ConfigFile;
use super::units::{at_most, duration};
use super::{Checker, Mistakes};
use crate::args::{KeyNewArgs, RightsArgs, TokenArgs};

/// The task of `token`.
pub(crate) enum TokenConfig {
    Make { key: SigningKey, claims: Box<TokenClaims> },
    Explain { token: String, auth: Box<AuthConfig>, now: Time },
}

/// The task of `key new`.
#[derive(Debug)]
pub(crate) struct KeyConfig {
    pub(crate) name: String,
    pub(crate) rights: Rights,
    /// True if no right was named, so that the key may do everything.
    pub(crate) is_for_all: bool,
}

/// A longer text on standard input is no token.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;
/// Tokens that last longer are API keys.
const EXPIRES_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

impl TokenConfig {
    /// Checks the arguments.
    pub(crate) fn check(args: &TokenArgs) -> Result<Self, Mistakes> {
        let now = Now::read().time;
        let mut mistakes = Vec::new();
        let task = match &args.explain {
            Some(token) => explain(args, token, now, &mut mistakes),
            None => make(args, now, &mut mistakes),
        };
        task.filter(|_| mistakes.is_empty()).ok_or(Mistakes(mistakes))
    }
}

impl KeyConfig {
    /// Checks the arguments.
    pub(crate) fn check(args: KeyNewArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut rights = rights(&args.rights, &mut mistakes);
        let is_for_all = rights.named().iter().all(|(_, filters)| filters.is_empty());
        let Rights { publish, subscribe, stop, manage } = &mut rights;
        if is_for_all {
            let everything = pattern("**").expect("it is a pattern");
            [publish, subscribe, stop, manage]
                .into_iter()
                .for_each(|right| right.push(everything.clone()));
        }
        match mistakes.is_empty() {
            true => Ok(Self { name: args.name, rights, is_for_all }),
            false => Err(Mistakes(mistakes)),
        }
    }
}

fn explain(
    args: &TokenArgs,
    token: &str,
    now: Time,
    mistakes: &mut Vec<String>,
) -> Option<TokenConfig> {
    let variable = |name: &str| env::var(name).ok();
    let file = ConfigFile::read(args.config.as_deref()?, &variable, mistakes);
    if file.auth.is_none() && mistakes.is_empty() {
        mistakes.push("the configuration file has no section [auth]".to_owned());
    }
    let token = match token {
        "-" => {
            let mut text = String::new();
            if let Err(error) = io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text) {
                mistakes.push(format!("standard input cannot be read: {error}"));
            }
            text.trim_end().to_owned()
        }
        token => token.to_owned(),
    };
    Some(TokenConfig::Explain { token, auth: Box::new(file.auth?), now })
}

fn make(args: &TokenArgs, now: Time, mistakes: &mut Vec<String>) -> Option<TokenConfig> {
    let key = signing_key(args).map_err(|why| mistakes.push(why)).ok();
    let mut expires = Duration::ZERO;
    let mut checker = Checker { mistakes };
    checker.set(&mut expires, "--expires", &args.expires, |text| {
        at_most(EXPIRES_MAX, duration(text)?)
    });
    let rights = rights(&args.rights, mistakes);
    let millis = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
    let ends = Time::from_unix_millis(now.unix_millis().saturating_add(millis));
    let mut claims = TokenClaims::new(rights, now, ends);
    claims.subject.clone_from(&args.subject);
    claims.issuer.clone_from(&args.issuer);
    claims.audiences.clone_from(&args.audience);
    Some(TokenConfig::Make { key: key?, claims: Box::new(claims) })
}

fn signing_key(args: &TokenArgs) -> Result<SigningKey, String> {
    let named = algorithm(&args.algorithm)
        .map_err(|why| format!("--algorithm {}: {why}", args.algorithm))?;
    let of_file =
        |flag: &str, path: &std::path::Path| read_key(path).map_err(|why| format!("{flag}: {why}"));
    let key = match (&args.secret_file, &args.secret_env, &args.private_key_file) {
        (Some(path), None, None) => SigningKey::secret(named, &of_file("--secret-file", path)?),
        (None, Some(name), None) => {
            let secret =
                env::var(name).map_err(|_| format!("--secret-env {name}: it is not set"))?;
            SigningKey::secret(named, secret.as_bytes())
        }
        (None, None, Some(path)) => {
            SigningKey::private_pem(named, &of_file("--private-key-file", path)?)
        }
        _ => {
            return Err("name the key that signs: --secret-file, --secret-env or \
                        --private-key-file"
                .to_owned());
        }
    };
    let key = key.map_err(|error| error.to_string())?;
    Ok(match &args.key_id {
        Some(id) => key.with_id(id),
        None => key,
    })
}

fn rights(args: &RightsArgs, mistakes: &mut Vec<String>) -> Rights {
    let mut filters = |flag: &str, texts: &[String]| {
        let mut filters = Vec::new();
        for text in texts {
            match pattern(text) {
                Ok(filter) => filters.push(filter),
                Err(why) => mistakes.push(format!("{flag} {text}: {why}")),
            }
        }
        filters
    };
    Rights {
        publish: filters("--publish", &args.publish),
        subscribe: filters("--subscribe", &args.subscribe),
        stop: filters("--stop", &args.stop),
        manage: filters("--manage", &args.manage),
    }
}
