//! Driving a hub: its time, under any executor.
//!
//! A hub has no timers. Heartbeats, timeouts, maximum ages of streams and the ages of events happen when the
//! program calls [`Hub::tick`](crate::Hub::tick), some times a second. A tick also tells the time that
//! dates what is published. One task does it:
//!
//! - with the feature `tokio`: `tokio::spawn(hub.drive())`;
//! - under any other executor: [`Hub::drive_with`](crate::Hub::drive_with), with a timer of yours.
//!
//! Without it a hub in memory still delivers events, but a quiet stream stays silent, and proxies close
//! silent streams. A hub on a journal that keeps its entries must be driven: the same task follows the
//! journal and reads from it. A hub that has streams and is not driven says so once in the log.
