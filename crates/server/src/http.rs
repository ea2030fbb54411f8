//! HTTP without connections: admission, requests as handlers read them, answers as handlers give them.

pub(crate) mod admit;
pub(crate) mod answer;
pub(crate) mod authority;
pub(crate) mod common_headers;
pub(crate) mod cors;
pub(crate) mod held;
pub(crate) mod pieces;
pub(crate) mod problem;
pub(crate) mod refusal_log;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod response;
pub(crate) mod response_body;
pub(crate) mod served_hosts;
pub(crate) mod whole;
