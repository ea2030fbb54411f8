//! A Server-Sent Events client that never loses its place.
