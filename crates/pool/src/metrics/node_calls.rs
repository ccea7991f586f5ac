//! The nodes above a pool: how long their answers take, which calls fail and why, and which nodes can be used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use node::{CallObserver, NodeError, PktdClient};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{Labels, Metrics, SECONDS};

/// The value of the label `role`.
const ROLE: &str = "node";

/// Counts the calls to the nodes of one chain. The values of its labels are the methods that this program calls, and the
/// kinds of fault.
#[derive(Debug)]
pub struct NodeCalls(Metrics);

impl CallObserver for NodeCalls {
    fn ended(&self, method: &'static str, time: Duration, outcome: Result<(), &NodeError>) {
        let of_method = self.0.with_label("method", method);
        let seconds = of_method.histogram(
            "node_call_seconds",
            "Time of a call to a node, the wait for a free connection included",
            SECONDS,
        );
        seconds.observe(time.as_secs_f64());
        if let Err(error) = outcome {
            let of_kind = of_method.with_label("kind", error.kind());
            of_kind
                .counter("node_call_failures", "Calls to a node without a result, by the kind of fault")
                .inc();
        }
    }
}

/// The nodes of PacketCrypt, by their place in the configuration.
#[derive(Debug)]
struct NodeStates {
    client: PktdClient,
    chain: &'static str,
}

impl Collector for NodeStates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let nodes = self.client.health().nodes;
        let labels = |place: usize| -> Labels {
            let place = place.to_string();
            [("role", ROLE), ("name", self.chain), ("node", place.as_str())]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        let help = "1 if the node answered the last look and does not stay behind the others, by its place";
        let mut family = encoder.encode_descriptor("node_up", help, None, MetricType::Gauge)?;
        for (place, node) in nodes.iter().enumerate() {
            let up = node.fault.is_none() && node.tip.is_some() && !node.stalled;
            family.encode_family(&labels(place))?.encode_gauge(&i64::from(up))?;
        }
        let help = "Height of the newest block of the node";
        let mut family = encoder.encode_descriptor("node_height", help, None, MetricType::Gauge)?;
        for (place, tip) in nodes.iter().enumerate().filter_map(|(place, node)| Some((place, node.tip?))) {
            family.encode_family(&labels(place))?.encode_gauge(&i64::from(tip.height.0))?;
        }
        Ok(())
    }
}

impl Metrics {
    /// Who counts the calls to the nodes of `chain`.
    pub fn node_calls(&self, chain: &'static str) -> Arc<NodeCalls> {
        Arc::new(NodeCalls(self.for_role(ROLE, chain)))
    }

    /// Shows the states of the nodes of `chain`.
    pub fn show_nodes(&self, chain: &'static str, client: PktdClient) {
        self.collect(chain, NodeStates { client, chain });
    }
}

#[cfg(test)]
mod tests {
    use node::{NodeAddress, PktdConfig};

    use super::*;

    #[tokio::test]
    async fn calls_and_nodes_that_nobody_answers_are_shown() {
        let metrics = Metrics::new();
        // A port that nobody listens on.
        let nodes = vec![NodeAddress::new("http://127.0.0.1:9", "", "")];
        let config =
            PktdConfig { observer: Some(metrics.node_calls("packetcrypt")), ..PktdConfig::new(nodes) };
        let client = PktdClient::connect(config).unwrap();
        metrics.show_nodes("packetcrypt", client.clone());
        assert!(client.best_block().await.is_err());
        let text = metrics.text();
        let labels = "role=\"node\",name=\"packetcrypt\"";
        for series in [
            format!("headframe_node_call_seconds_count{{{labels},method=\"getbestblock\"}} 1"),
            format!(
                "headframe_node_call_failures_total{{{labels},method=\"getbestblock\",kind=\"unreachable\"}} 1"
            ),
            format!("headframe_node_up{{{labels},node=\"0\"}} 0"),
        ] {
            assert!(text.contains(&series), "{series} in\n{text}");
        }
    }
}
