//! Makes a running hub take up new files of TLS.

use std::convert::Infallible;
use std::time::Duration;

use tidings_server::Control;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info};

use crate::config::{TlsFiles, TlsTexts};

/// Looks at the files every second, and takes up what has changed. A certificate and a key that do
/// not fit, or a file that cannot be read, leave the old ones in force; they are looked at again, and
/// the reason is told once.
pub(crate) async fn follow(
    files: watch::Receiver<TlsFiles>,
    mut in_force: TlsTexts,
    control: Control,
) -> Infallible {
    const LOOK: Duration = Duration::from_secs(1);
    let mut told = None;
    loop {
        sleep(LOOK).await;
        let now = files.borrow().clone();
        // A file may be on a disk that makes its readers wait.
        let read = spawn_blocking(move || now.read()).await;
        let texts = match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(texts) if texts == in_force => {
                told = None;
                continue;
            }
            read => read,
        };
        match texts.and_then(|texts| Ok((texts.identity()?, texts))) {
            Ok((identity, texts)) => {
                control.set_identity(&identity);
                info!(names = ?identity.names(), "certificate taken up");
                (in_force, told) = (texts, None);
            }
            Err(why) if told.as_ref() == Some(&why) => {}
            Err(why) => {
                let files = files.borrow().to_string();
                error!(files, why, "certificate not taken up, the old one stays in force");
                told = Some(why);
            }
        }
    }
}
