//! What the website is started with, made from what the operator wrote.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use ledger::nimiq::Accounts;
use pool::site::facts::{Explorers, Identity, Moment};
use pool::site::gather::{ComponentSource, Expected, NimiqSource, PacketCryptSource, Sources};
use pool::site::{SiteConfig, SiteLimits, SubscriptionsConfig};

use super::nimiq::{pool_address, server_name, server_path, thresholds};
use super::notify::mail_for_miners;
use super::{Urls, ann_name, blk_name};
use crate::config::{Config, NimiqServer};
use crate::program::PROGRAM;

/// The website. `here` is the address of this process if it runs the whole pool: then everybody is asked there, however
/// the pool is reached from outside. What it keeps is in `folder`; `accounts` are those of a Nimiq pool.
pub fn site(
    config: &Config,
    urls: &Urls,
    here: Option<SocketAddr>,
    shown_at: SocketAddr,
    folder: &Path,
    accounts: Option<Accounts>,
) -> anyhow::Result<SiteConfig> {
    let site = &config.site;
    let url = site.url.as_ref().map_or_else(|| address_of_site(config, shown_at), ToString::to_string);
    let contact = (!site.contact.is_empty()).then(|| site.contact.clone());
    let identity = Identity {
        name: site.name.clone(),
        contact,
        explorers: Explorers {
            packetcrypt: site.explorer_pkt.as_ref().map(ToString::to_string),
            nimiq: site.explorer_nimiq.as_ref().map(ToString::to_string),
        },
        url: url.clone(),
        version: PROGRAM.version.to_owned(),
        build: PROGRAM.build.map(str::to_owned),
        started_at: Moment::now(),
    };
    let packetcrypt = config.runs_packetcrypt().then(|| packetcrypt(config, urls, here));
    let mail = mail_for_miners(config)?;
    Ok(SiteConfig {
        sources: Sources {
            identity,
            packetcrypt,
            nimiq: accounts.map(|accounts| nimiq(config, here, accounts, &url)),
            components: components(config, urls, here),
        },
        folder: site.folder.clone(),
        record: folder.join("record"),
        subscriptions: site.subscriptions.then(|| SubscriptionsConfig {
            folder: folder.to_owned(),
            private_targets: site.private_targets,
            mail,
        }),
        limits: SiteLimits {
            requests_per_minute: site.requests_per_minute,
            streams: site.event_streams,
            streams_per_address: site.event_streams_per_address,
        },
        admission: Arc::default(),
    })
}

/// Where visitors find a site that nobody has given an address: they do not find one that listens everywhere by that.
fn address_of_site(config: &Config, shown_at: SocketAddr) -> String {
    match &config.pool.url {
        Some(pool) if shown_at.ip().is_unspecified() => origin(pool.as_str()),
        _ => format!("http://{}", reachable(shown_at)),
    }
}

/// Where miners find a Nimiq server; `site` is the website's address.
pub fn address_for_miners(server: &NimiqServer, site: &str) -> String {
    let scheme = if server.certificate.is_some() { "wss" } else { "ws" };
    match &server.url {
        Some(url) => url.to_string(),
        None if server.listen.ip().is_unspecified() => {
            let authority = site.rsplit("//").next().unwrap_or(site);
            let authority = authority.split('/').next().unwrap_or(authority);
            let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
            let host = authority
                .rsplit_once(':')
                .filter(|(_, port)| is_port(port))
                .map_or(authority, |(host, _)| host);
            format!("{scheme}://{host}:{}", server.listen.port())
        }
        None => format!("{scheme}://{}", server.listen),
    }
}

fn packetcrypt(config: &Config, urls: &Urls, here: Option<SocketAddr>) -> PacketCryptSource {
    let own = |path: &str| here.map(|here| format!("http://{}{path}", reachable(here)));
    let ann_handlers = config.ann_handlers.iter().map(ann_name);
    let blk_handlers = config.blk_handlers.iter().map(blk_name);
    let url = |path: String, written: Option<&str>| own(&path).or(written.map(str::to_owned));
    PacketCryptSource {
        ann_handlers: ann_handlers
            .filter_map(|name| url(format!("/ann/{name}"), urls.ann_handler(name)))
            .collect(),
        blk_handlers: blk_handlers
            .filter_map(|name| url(format!("/blk/{name}"), urls.blk_handler(name)))
            .collect(),
        pool_url: urls.master.clone(),
        master: own("/master").unwrap_or_else(|| urls.master.clone()),
        pay_maker: own("/paymaker").unwrap_or_else(|| urls.pay_maker.clone()),
        is_private: config.pool.private_seed.is_some(),
    }
}

fn nimiq(config: &Config, here: Option<SocketAddr>, accounts: Accounts, site: &str) -> NimiqSource {
    let figures = |listen| format!("{}/metrics", process(config, here, listen));
    let server_figures = config.nimiq_servers.iter().map(|server| figures(server.metrics_listen));
    let server_url = |server: &NimiqServer| {
        let process = process(config, here, server.metrics_listen);
        // Together with others it stands under its name.
        if here.is_some() { format!("{process}{}", server_path(server_name(server))) } else { process }
    };
    NimiqSource {
        accounts,
        servers: config.nimiq_servers.iter().map(|server| address_for_miners(server, site)).collect(),
        address: pool_address(config).ok(),
        network: config.nimiq_network().to_string(),
        fee_millionths: config.nimiq_service.pool_fee.millionths(),
        window: config.nimiq_service.window,
        confirmations: config.nimiq_service.confirmations,
        thresholds: thresholds(config),
        payout_interval: config.nimiq_payout.interval,
        server_urls: config.nimiq_servers.iter().map(server_url).collect(),
        server_figures: server_figures.collect::<BTreeSet<_>>().into_iter().collect(),
        payout_figures: vec![figures(config.nimiq_payout.metrics_listen)],
    }
}

/// Where a role of the Nimiq pool tells of itself over HTTP: this process, or its own.
fn process(config: &Config, here: Option<SocketAddr>, listen: Option<SocketAddr>) -> String {
    format!("http://{}", reachable(here.or(listen).unwrap_or(config.http.listen)))
}

/// One source for each process: this one, or every address that a role is reached at.
pub(super) fn components(config: &Config, urls: &Urls, here: Option<SocketAddr>) -> Vec<ComponentSource> {
    let mut sources: Vec<ComponentSource> = Vec::new();
    let mut add = |origin: String, role: &'static str, name: &str| {
        let url = format!("{origin}/healthz");
        let expected = Expected { role, name: name.to_owned() };
        match sources.iter_mut().find(|source| source.url == url) {
            Some(source) => source.expected.push(expected),
            None => sources.push(ComponentSource { url, expected: vec![expected] }),
        }
    };
    let at = |url: &str| here.map_or_else(|| origin(url), |here| format!("http://{}", reachable(here)));
    if config.runs_packetcrypt() {
        add(at(&urls.master), "master", "");
        add(at(&urls.pay_maker), "pay_maker", "");
        for name in config.ann_handlers.iter().map(ann_name) {
            add(at(urls.ann_handler(name).unwrap_or_default()), "ann_handler", name);
        }
        for name in config.blk_handlers.iter().map(blk_name) {
            add(at(urls.blk_handler(name).unwrap_or_default()), "blk_handler", name);
        }
    }
    if config.runs_nimiq() {
        let own = |listen| process(config, here, listen);
        for server in &config.nimiq_servers {
            add(own(server.metrics_listen), "nimiq_server", server_name(server));
        }
        add(own(config.nimiq_service.metrics_listen), "nimiq_service", "");
        add(own(config.nimiq_payout.metrics_listen), "nimiq_payout", "");
    }
    sources
}

/// Scheme, host and port of a URL: `/healthz` is at the root of every process.
pub fn origin(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    url[..end].to_owned()
}

/// An address to connect to: whoever listens everywhere is reached on loopback.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_of_a_role_is_at_the_root_of_its_host() {
        assert_eq!(origin("https://pool.example/ann/main"), "https://pool.example");
        assert_eq!(origin("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }

    fn load(text: &str) -> Config {
        Config::load(Some((Path::new("pool.toml"), text)), [], &[], crate::config::Files::MayBeElsewhere)
            .unwrap()
    }

    #[test]
    fn miners_are_told_addresses_that_lead_here_from_outside() {
        let with = |server: &str| {
            let config = load(&format!("[[nimiq_server]]\nname = \"main\"\n{server}\n"));
            ["https://pool.example", "http://10.0.0.7:8080", "http://[2001:db8::1]"]
                .map(|site| address_for_miners(&config.nimiq_servers[0], site))
        };
        let tls = "certificate = \"/a.pem\"\nkey = \"/b.pem\"";
        assert_eq!(with("")[0], "ws://127.0.0.1:8443");
        let everywhere = with(&format!("listen = \"0.0.0.0:8444\"\n{tls}"));
        assert_eq!(
            everywhere,
            ["wss://pool.example:8444", "wss://10.0.0.7:8444", "wss://[2001:db8::1]:8444"]
        );
        let written = with(&format!("listen = \"0.0.0.0:8444\"\nurl = \"wss://mine.example:443\"\n{tls}"));
        assert_eq!(written[0], "wss://mine.example:443");
    }

    #[test]
    fn the_pool_url_that_is_shown_is_the_one_from_outside() {
        let here: SocketAddr = "0.0.0.0:8080".parse().unwrap();
        let config = load("[pool]\nurl = \"https://pool.example/master\"\n");
        let source = packetcrypt(&config, &Urls::new(&config, here), Some(here));
        assert_eq!(source.pool_url, "https://pool.example/master");
        assert_eq!(source.master, "http://127.0.0.1:8080/master", "which is asked from here");
        assert_eq!(address_of_site(&config, here), "https://pool.example");
    }

    #[test]
    fn what_listens_everywhere_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("10.0.0.1:80".parse().unwrap()).to_string(), "10.0.0.1:80");
    }
}
