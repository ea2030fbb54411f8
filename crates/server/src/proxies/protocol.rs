//! The PROXY protocol, version 2: a binary head in front of a connection, in which a proxy that does
//! not read requests tells the address of its client (HAProxy's specification, section 2.2).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// The beginning of a head. No request and no handshake begins so.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes of a head before the addresses.
const FIXED_BYTES: usize = 16;
/// The most bytes that follow: addresses, and what proxies add, such as names of TLS.
const REST_BYTES_MAX: usize = 4096;

/// Reads the head of a connection from a trusted proxy, if it begins with one; returns the address of
/// the client, or `None` if the proxy speaks for itself or does not speak this protocol.
///
/// # Errors
///
/// If the head is broken. Nothing that follows can be read then.
pub(crate) async fn client(socket: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 || first[0] != SIGNATURE[0] {
        return Ok(None);
    }
    let mut fixed = [0; FIXED_BYTES];
    socket.read_exact(&mut fixed).await?;
    let bytes = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if !fixed.starts_with(&SIGNATURE) || fixed[12] >> 4 != 2 || bytes > REST_BYTES_MAX {
        return Err(broken("it is no head of the PROXY protocol, version 2"));
    }
    let mut rest = vec![0; bytes];
    socket.read_exact(&mut rest).await?;
    address(fixed[12] & 0xF, fixed[13], &rest)
}

fn address(command: u8, family: u8, rest: &[u8]) -> io::Result<Option<SocketAddr>> {
    const LOCAL: u8 = 0;
    const PROXY: u8 = 1;
    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let too_short = || broken("its addresses are missing");
    match (command, family) {
        // The proxy's own check of health.
        (LOCAL, _) => Ok(None),
        (PROXY, TCP4) => {
            let address = rest.first_chunk::<4>().zip(port(8)).ok_or_else(too_short)?;
            Ok(Some((Ipv4Addr::from(*address.0), address.1).into()))
        }
        (PROXY, TCP6) => {
            let address = rest.first_chunk::<16>().zip(port(32)).ok_or_else(too_short)?;
            Ok(Some((Ipv6Addr::from(*address.0).to_canonical(), address.1).into()))
        }
        // Sockets that have no address of IP.
        (PROXY, _) => Ok(None),
        _ => Err(broken("its command is unknown")),
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_source_of_a_proxied_connection() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80, 3, 0, 0];
        assert_eq!(address(1, 0x11, &v4).unwrap(), Some("192.0.2.1:4711".parse().unwrap()));
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb9]);
        v6[15] = 1;
        v6[33] = 80;
        assert_eq!(address(1, 0x21, &v6).unwrap(), Some("[2001:db9::1]:80".parse().unwrap()));
        for (command, family) in [(0, 0), (0, 0x11), (1, 0), (1, 0x31)] {
            assert_eq!(address(command, family, &v4).unwrap(), None);
        }
        assert!(address(1, 0x11, &v4[..9]).is_err());
        assert!(address(1, 0x21, &v6[..33]).is_err());
        assert!(address(2, 0x11, &v4).is_err());
    }
}
