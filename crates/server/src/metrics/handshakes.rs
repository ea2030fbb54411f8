//! The numbers of TLS handshakes.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::net::handshakes::Handshakes;

/// The number of handshakes under way.
#[derive(Debug)]
pub(super) struct HandshakeNumbers(pub(super) Arc<Handshakes>);

impl Collector for HandshakeNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.under_way()).unwrap_or(i64::MAX));
        let kind = gauge.metric_type();
        let help = "TLS handshakes that have begun and not ended";
        gauge.encode(encoder.encode_descriptor("handshakes", help, None, kind)?)
    }
}
