//! TLS on a nonblocking connection.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// How connections to one server are secured.
#[derive(Clone, Debug)]
pub(crate) struct Security {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Security {
    /// Verifies certificates for `host` against the root certificates that this machine trusts.
    ///
    /// # Errors
    ///
    /// No certificate can be issued for `host`, or the root certificates cannot be read.
    pub(crate) fn of(host: &str) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        // Named explicitly: rustls refuses to choose when two providers are compiled in.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(rustls::ConfigBuilder::with_platform_verifier)
            .map_err(io::Error::other)?
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), name })
    }
}

/// The TLS session of one connection.
#[derive(Debug)]
pub(crate) struct Tls(ClientConnection);

impl Tls {
    pub(crate) fn new(security: &Security) -> io::Result<Self> {
        let config = Arc::clone(&security.config);
        let session = ClientConnection::new(config, security.name.clone());
        session.map(Self).map_err(io::Error::other)
    }

    /// Reads until `buffer` is full or `stream` is drained; `None` if there is nothing yet.
    pub(crate) fn read(
        &mut self,
        stream: &mut TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        // Data that could not be written before may fit now.
        self.flush(stream)?;
        let mut filled = 0;
        loop {
            match self.0.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(Some(filled)),
                Ok(count) => {
                    filled += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Closed without close_notify. HTTP's own framing tells whether the body is
                // complete.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(Some(filled));
                }
                Err(error) => return Err(error),
            }
            match self.0.read_tls(stream) {
                Ok(_) => {
                    let read = self.0.process_new_packets().map_err(io::Error::other);
                    // This also sends the alert if the certificate is not trusted.
                    self.flush(stream)?;
                    read?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok((filled > 0).then_some(filled));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The error occurs again after the data before it has been handled.
                Err(_) if filled > 0 => return Ok(Some(filled)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Accepts what there is room for and writes what fits; `None` if there is no room yet.
    pub(crate) fn write(
        &mut self,
        stream: &mut TcpStream,
        bytes: &[u8],
    ) -> io::Result<Option<usize>> {
        self.flush(stream)?;
        let count = self.0.writer().write(bytes)?;
        self.flush(stream)?;
        Ok((count > 0).then_some(count))
    }

    fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Returns whether a connection cannot be written to yet. Linux reports that the call would block,
/// other systems that the socket is not connected.
pub(crate) fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::thread::{self, JoinHandle};

    use mio::{Events, Poll, Token};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{RootCertStore, ServerConfig, ServerConnection};

    use super::*;
    use crate::http::socket::{Endpoint, LocalAddress, Socket};

    const REQUEST: usize = 200_000;
    const RESPONSE: usize = 500_000;

    fn provider() -> Arc<rustls::crypto::CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    /// Serves one connection: reads a request, writes a response, sends close_notify and closes.
    /// Returns the address and the client's TLS settings.
    fn serve() -> (SocketAddr, Security, JoinHandle<io::Result<()>>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let trusting = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let security = Security { config: Arc::new(trusting), name };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut tcp, _) = listener.accept()?;
            let mut session = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
            let mut stream = rustls::Stream::new(&mut session, &mut tcp);
            stream.read_exact(&mut vec![0; REQUEST])?;
            stream.write_all(&[b'x'; RESPONSE])?;
            session.send_close_notify();
            session.complete_io(&mut tcp).map(drop)
        });
        (address, security, served)
    }

    /// Sends a request and reads until the end, at most `buffer` at a time.
    fn exchange(to: &Endpoint, buffer: &mut [u8]) -> io::Result<Vec<u8>> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(8);
        let mut socket = Socket::connect(to, LocalAddress::default(), poll.registry(), Token(0))?;
        let request = [b'y'; REQUEST];
        let (mut written, mut response) = (0, Vec::new());
        loop {
            while written < REQUEST
                && let Some(count) = socket.write(&request[written..])?
            {
                written += count;
            }
            while let Some(count) = socket.read(buffer)? {
                if count == 0 {
                    return Ok(response);
                }
                response.extend_from_slice(&buffer[..count]);
            }
            poll.poll(&mut events, None)?;
        }
    }

    #[test]
    fn a_request_and_a_response_larger_than_any_buffer_come_through() {
        for buffer_len in [1_000, 1_000_000] {
            let (address, security, served) = serve();
            let to = Endpoint { address, security: Some(security) };
            let response = exchange(&to, &mut vec![0; buffer_len]).unwrap();
            assert!(response.len() == RESPONSE && response.iter().all(|byte| *byte == b'x'));
            served.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_server_that_this_machine_does_not_trust_is_refused() {
        let (address, _, served) = serve();
        let to = Endpoint { address, security: Some(Security::of("localhost").unwrap()) };
        let refusal = exchange(&to, &mut [0; 1_000]).unwrap_err().to_string();
        assert!(refusal.contains("certificate"), "{refusal}");
        assert!(served.join().unwrap().is_err());
    }

    #[test]
    fn a_name_that_no_certificate_can_have_is_refused() {
        assert!(Security::of("a b").is_err());
    }
}
