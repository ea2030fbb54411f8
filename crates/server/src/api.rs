//! The APIs: the native one, and the routes that everything is found by.

mod assets;
pub(crate) mod native;
mod ops;
pub(crate) mod routes;
