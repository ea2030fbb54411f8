//! The arguments of `token` and `key`, and their help.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The arguments of `token` as written. `TokenConfig` is what they mean.
#[derive(Args, Debug)]
#[command(after_help = TOKEN_HELP)]
pub(crate) struct TokenArgs {
    /// Explain a token instead of making one: what it allows, and why it would be refused; '-' reads
    /// it from standard input, where no other program can see it.
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "config",
        conflicts_with_all = ["publish", "subscribe", "stop", "manage"]
    )]
    pub(crate) explain: Option<String>,

    /// Configuration file of the hub that the token is explained for.
    #[arg(long, value_name = "FILE", requires = "explain")]
    pub(crate) config: Option<PathBuf>,

    /// File with the secret that signs; its last line end does not count.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "secret_env"])]
    pub(crate) secret_file: Option<PathBuf>,

    /// Variable of the environment with the secret that signs.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["explain", "private_key_file"])]
    pub(crate) secret_env: Option<String>,

    /// File with the private key that signs, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "secret_file"])]
    pub(crate) private_key_file: Option<PathBuf>,

    /// Algorithm of the signature, such as ES256.
    #[arg(long, value_name = "NAME", default_value = "HS256", conflicts_with = "explain")]
    pub(crate) algorithm: String,

    /// Key ID that the token names.
    #[arg(long, value_name = "ID", conflicts_with = "explain")]
    pub(crate) key_id: Option<String>,

    /// Subject that the token is for: the user.
    #[arg(long, value_name = "NAME", conflicts_with = "explain")]
    pub(crate) subject: Option<String>,

    #[command(flatten)]
    pub(crate) rights: RightsArgs,

    /// Time after which the token expires.
    #[arg(long, value_name = "TIME", default_value = "1h", conflicts_with = "explain")]
    pub(crate) expires: String,

    /// Issuer.
    #[arg(long, value_name = "NAME", conflicts_with = "explain")]
    pub(crate) issuer: Option<String>,

    /// Audience; may be repeated.
    #[arg(long, value_name = "NAME", conflicts_with = "explain")]
    pub(crate) audience: Vec<String>,
}

/// The rights of a token or an API key, as written.
#[derive(Args, Debug)]
pub(crate) struct RightsArgs {
    /// Topic or pattern to allow publishing to, such as 'orders/**'; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) publish: Vec<String>,

    /// Topic or pattern to allow subscribing to; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) subscribe: Vec<String>,

    /// Topic or pattern to allow stopping the streams of, as a reader; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) stop: Vec<String>,

    /// Topic or pattern to allow managing; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) manage: Vec<String>,
}

/// The arguments of `key` as written.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an API key for a backend, and the line for the configuration file.
    New(KeyNewArgs),
}

#[derive(Args, Debug)]
#[command(after_help = KEY_HELP)]
pub(crate) struct KeyNewArgs {
    /// Name of the backend, which is also the subject of its streams.
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) rights: RightsArgs,
}

const TOKEN_HELP: &str = "\
Standard output:
  the token and a line end; with --explain, its header and claims, what it would allow, and each
  reason to refuse it

Exit status:
  0  a token was made, or the explained one would be accepted
  1  the explained token would be refused
  2  the command line or the configuration is wrong";

const KEY_HELP: &str = "\
Standard output:
  the key, which is not shown again, and a line for api_keys in [auth] of the configuration file,
  which has only its SHA-256. The key is sent as 'Authorization: Bearer …'. It may do everything if
  no right is named";
