//! Datagrams between sprayers.

use serde::Deserialize;
use wire::sprayer::{Datagram, RECORD_SIZE, Subscription, records_per_datagram};

use super::{Tally, VectorFile, Verdict, each, holds, same};

pub(super) fn check(file: &VectorFile<'_>) -> Option<anyhow::Result<Tally>> {
    (file.name == "exchange.json").then(|| exchange(file))
}

#[derive(Deserialize)]
struct Packet {
    #[serde(default)]
    dir: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    len: usize,
    note: String,
    hex: Option<String>,
}

fn exchange(file: &VectorFile<'_>) -> anyhow::Result<Tally> {
    let packets: Vec<Packet> = file.json()?;
    let sent: Vec<_> = packets.iter().filter(|packet| !packet.dir.is_empty()).collect();
    Ok(each(
        &sent,
        |packet| format!("{} to {}, {} bytes", packet.from, packet.to, packet.len),
        |packet| check_one(packet),
    ))
}

fn check_one(packet: &Packet) -> Verdict {
    let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned());
    let Some(digits) = &packet.hex else {
        // Data whose content was not kept: whole records, more than a segment only to the sender's own address.
        same("whole records", &0, &(packet.len % RECORD_SIZE))?;
        let most = if host(&packet.from) == host(&packet.to) { 63 } else { records_per_datagram(1472) };
        return holds("more records than a datagram may hold", packet.len / RECORD_SIZE <= most);
    };
    let bytes = hex::decode(digits).map_err(|fault| fault.to_string())?;
    same("length", &packet.len, &bytes.len())?;
    let datagram = Datagram::split(&bytes);
    match datagram.subscription() {
        None => counters(packet, &datagram),
        Some(subscription) => {
            let subscription = subscription.map_err(|fault| fault.to_string())?;
            let text = &bytes[datagram.record_count() * RECORD_SIZE..];
            // `num` and `count` may be left out; where they are there, we write the same bytes.
            if text.ends_with(b"\"count\":1}") {
                same("written back", &text, &subscription.to_datagram().as_slice())?;
            }
            same("the same password", &subscription, &Subscription::new(subscription.password.clone()))
        }
    }
}

/// The note lists the counters of the first records: `… first numbers [74, 73] …`.
fn counters(packet: &Packet, datagram: &Datagram<'_>) -> Verdict {
    let listed = packet.note.split_once("first numbers [").and_then(|(_, rest)| rest.split_once(']'));
    let listed: Vec<u64> = listed
        .map(|(list, _)| list.split(", ").filter_map(|number| number.parse().ok()).collect())
        .unwrap_or_default();
    let read: Vec<u64> = datagram.records().map(|record| record.counter).take(listed.len()).collect();
    same("counters", &listed, &read)?;
    let mut written = Vec::new();
    datagram.records().for_each(|record| record.write(&mut written));
    same("written back", &datagram.record_count(), &(written.len() / RECORD_SIZE))
}
