//! The contract service, driven as LaunchDarkly's harness drives it: these tests play the harness's
//! part of the REST contract and cover every group of its tests.

mod connections;
mod harness;
mod parsing;
#[path = "../../examples/contract_service.rs"]
mod service;
