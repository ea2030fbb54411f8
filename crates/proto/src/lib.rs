//! The text of Server-Sent Events: an incremental decoder and an encoder, without I/O.

#![no_std]
extern crate alloc;
