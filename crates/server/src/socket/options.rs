//! The options of sockets that event streams are written to.

use std::io;
use std::time::Duration;

use socket2::SockRef;

/// Whether accepted sockets inherit the options of their listener, so that they need not be set on
/// each.
pub(crate) const ACCEPTED_INHERIT: bool = cfg!(target_os = "linux");

/// Sets the options of an event stream's socket: no delay of small writes, and limits on the unsent
/// bytes that the kernel holds, and on how long it holds them.
pub(crate) fn limit(options: &SockRef<'_>, stall_timeout: Duration) -> io::Result<()> {
    options.set_tcp_nodelay(true)?;
    limit_unsent(options)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    options.set_tcp_user_timeout(Some(stall_timeout))?;
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = stall_timeout;
    Ok(())
}

/// Below half of it, a socket counts as writable: enough to keep a fast client busy until more is
/// written. At the limit, no packet is begun; a packet begun below it is filled.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) const UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// Limits the unsent bytes that the kernel holds for a client that accepts none.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn limit_unsent(options: &SockRef<'_>) -> io::Result<()> {
    options.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

/// The same on platforms without a limit on unsent bytes: the whole buffer is limited.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn limit_unsent(options: &SockRef<'_>) -> io::Result<()> {
    const SEND_BYTES_MAX: usize = 64 * 1024;
    options.set_send_buffer_size(SEND_BYTES_MAX)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_is_accepted_has_its_listeners_options() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        limit(&SockRef::from(&listener), Duration::from_secs(60)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let options = SockRef::from(&accepted);
        assert!(options.tcp_nodelay().unwrap());
        assert_eq!(options.tcp_notsent_lowat().unwrap(), 16 * 1024);
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(Duration::from_secs(60)));
        drop(client);
    }
}
