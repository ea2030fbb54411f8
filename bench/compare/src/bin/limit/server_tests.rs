//! The yardstick on real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::{Mode, PUBLISHED, REFUSED, STREAM_HEAD, Server};

const MODES: [Mode; 2] = [Mode::EachAlone, Mode::Merged];
/// Much longer than any response takes: a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

fn start(mode: Mode) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(address, mode).expect("a free port");
    let address = server.local_addr().expect("the server listens");
    thread::spawn(move || server.run());
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the server accepts");
    socket.set_read_timeout(Some(DEADLINE)).expect("a time that is not zero");
    socket
}

fn subscribe(address: SocketAddr, topic: &str) -> TcpStream {
    let mut socket = connect(address);
    write!(socket, "GET /topics/{topic} HTTP/1.1\r\nHost: h\r\n\r\n").expect("a request");
    expect(&mut socket, STREAM_HEAD);
    socket
}

fn post(topic: &str, data: &str) -> String {
    let length = data.len();
    format!("POST /topics/{topic} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{data}")
}

fn publish(socket: &mut TcpStream, topic: &str, data: &str) {
    socket.write_all(post(topic, data).as_bytes()).expect("a request");
    expect(socket, PUBLISHED);
}

/// Reads exactly `wanted`.
#[track_caller]
fn expect(socket: &mut TcpStream, wanted: &[u8]) {
    let mut found = vec![0; wanted.len()];
    socket.read_exact(&mut found).expect("as many bytes as that");
    assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(wanted));
}

#[test]
fn an_event_reaches_every_subscriber_of_its_topic_and_no_other() {
    for mode in MODES {
        let address = start(mode);
        let mut readers = [(); 3].map(|()| subscribe(address, "t"));
        let mut other = subscribe(address, "other");
        let mut publisher = connect(address);
        publish(&mut publisher, "t", "one");
        publish(&mut publisher, "nobody", "lost");
        publish(&mut publisher, "other", "two");
        for reader in &mut readers {
            expect(reader, b"b\r\ndata: one\n\n\r\n");
        }
        expect(&mut other, b"b\r\ndata: two\n\n\r\n");
    }
}

#[test]
fn data_of_several_lines_stays_one_event() {
    let address = start(Mode::EachAlone);
    let mut reader = subscribe(address, "t");
    publish(&mut connect(address), "t", "a\nb");
    expect(&mut reader, b"11\r\ndata: a\ndata: b\n\n\r\n");
}

#[test]
fn pipelined_requests_are_served_and_answered_in_order() {
    for mode in MODES {
        let address = start(mode);
        let mut reader = subscribe(address, "t");
        let mut publisher = connect(address);
        let requests: String = (0..1000).map(|number| post("t", &format!("{number:04}"))).collect();
        publisher.write_all(requests.as_bytes()).expect("requests");
        expect(&mut publisher, &PUBLISHED.repeat(1000));
        for number in 0..1000 {
            expect(&mut reader, format!("c\r\ndata: {number:04}\n\n\r\n").as_bytes());
        }
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let address = start(Mode::EachAlone);
    let mut reader = subscribe(address, "t");
    let mut publisher = connect(address);
    publisher.set_nodelay(true).expect("a socket");
    for byte in post("t", "one").bytes() {
        publisher.write_all(&[byte]).expect("a byte");
    }
    expect(&mut publisher, PUBLISHED);
    expect(&mut reader, b"b\r\ndata: one\n\n\r\n");
}

#[test]
fn a_publisher_that_closes_at_once_is_heard() {
    let address = start(Mode::EachAlone);
    let mut reader = subscribe(address, "t");
    let mut publisher = connect(address);
    publisher.write_all(post("t", "one").as_bytes()).expect("a request");
    publisher.shutdown(Shutdown::Write).expect("a socket");
    expect(&mut reader, b"b\r\ndata: one\n\n\r\n");
    expect(&mut publisher, PUBLISHED);
    assert_eq!(publisher.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn subscribers_that_leave_disturb_nobody() {
    for mode in MODES {
        let address = start(mode);
        let mut stays = subscribe(address, "t");
        let mut publisher = connect(address);
        for number in 100..200 {
            let leaves = [subscribe(address, "t"), subscribe(address, &number.to_string())];
            publish(&mut publisher, "t", &number.to_string());
            drop(leaves);
            expect(&mut stays, format!("b\r\ndata: {number}\n\n\r\n").as_bytes());
        }
    }
}

#[test]
fn what_is_no_request_is_refused_and_closed() {
    let address = start(Mode::EachAlone);
    let mut client = connect(address);
    client.write_all(b"HELLO\r\n\r\n").expect("bytes");
    expect(&mut client, REFUSED);
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn a_subscriber_that_cannot_take_an_event_is_closed_and_holds_up_nobody() {
    let address = start(Mode::EachAlone);
    let mut stalled = subscribe(address, "t");
    let mut reader = subscribe(address, "t");
    let mut publisher = connect(address);
    let data = "x".repeat(8000);
    let event = format!("1f48\r\ndata: {data}\n\n\r\n");
    // 64 MB: more than the kernel buffers for a reader that reads nothing.
    for _ in 0..8000 {
        publish(&mut publisher, "t", &data);
        expect(&mut reader, event.as_bytes());
    }
    let mut received = 0;
    let mut buffer = vec![0; 65536];
    while let Ok(length @ 1..) = stalled.read(&mut buffer) {
        received += length;
    }
    assert!(received < 8000 * event.len(), "it was closed before it could take everything");
}
