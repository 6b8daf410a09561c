//! Where a request comes from, also through proxies.

use std::{net::IpAddr, str::FromStr};

use actix_web::http::header::HeaderMap;
use domain::Problem;
use ipnet::IpNet;

use crate::Origin;

/// Networks of proxies whose word is taken for where a request comes from: `10.0.0.0/8,fd00::/8`.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpNet>);

impl FromStr for Proxies {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let networks = text.split(',').map(|part| {
            let part = part.trim();
            let network = part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| {
                let message = format!("`{part}` is no network: expected one like 10.0.0.0/8");
                Problem::invalid("trusted_proxies", message)
            })
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

impl Proxies {
    /// Where a request comes from whose connection comes from `peer`. Headers count only where a
    /// trusted proxy set them: of the addresses in `x-forwarded-for`, the last that is none of ours.
    ///
    /// # Errors
    /// A trusted proxy says what is no address.
    pub fn origin(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<Origin, Problem> {
        let peer = peer.map(|peer| peer.to_canonical());
        let Some(proxy) = peer.filter(|peer| self.trusts(peer)) else {
            return Ok(Origin { address: peer, https: false });
        };
        let mut address = proxy;
        // The last line and its last entry are of the proxy nearest to us.
        let lines: Vec<_> = headers.get_all("x-forwarded-for").collect();
        'lines: for line in lines.into_iter().rev() {
            let line = line.to_str().map_err(|_| nonsense("what is no text"))?;
            for entry in line.rsplit(',') {
                address = read(entry.trim())?;
                if !self.trusts(&address) {
                    break 'lines;
                }
            }
        }
        let scheme = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        let https = scheme.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"));
        Ok(Origin { address: Some(address), https })
    }

    fn trusts(&self, address: &IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// An address, with a port or without.
fn read(entry: &str) -> Result<IpAddr, Problem> {
    let address = entry
        .parse()
        .or_else(|_| entry.parse::<std::net::SocketAddr>().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical()).map_err(|_| {
        let shown: String = entry.chars().take(80).flat_map(char::escape_default).collect();
        nonsense(&format!("`{shown}`"))
    })
}

fn nonsense(what: &str) -> Problem {
    let message = format!("x-forwarded-for holds {what}: expected addresses, with commas between");
    Problem::invalid("x-forwarded-for", message)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn origin(proxies: &str, peer: &str, lines: &[&str]) -> Result<Origin, Problem> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = ("x-forwarded-for", HeaderValue::from_str(line).unwrap());
            headers.append(HeaderName::from_static(name), value);
        }
        let proto = HeaderName::from_static("x-forwarded-proto");
        headers.insert(proto, HeaderValue::from_static("https"));
        let proxies =
            if proxies.is_empty() { Proxies::default() } else { proxies.parse().unwrap() };
        proxies.origin(Some(peer.parse().unwrap()), &headers)
    }

    fn from(proxies: &str, peer: &str, lines: &[&str]) -> (String, bool) {
        let origin = origin(proxies, peer, lines).unwrap();
        (origin.address.unwrap().to_string(), origin.https)
    }

    #[test]
    fn only_trusted_proxies_say_where_a_request_comes_from() {
        let plain = |address: &str| (address.to_owned(), false);
        let https = |address: &str| (address.to_owned(), true);
        assert_eq!(from("", "10.0.0.1", &["1.2.3.4"]), plain("10.0.0.1"));
        assert_eq!(from("10.0.0.0/8", "11.0.0.1", &["1.2.3.4"]), plain("11.0.0.1"));
        assert_eq!(from("10.0.0.0/8", "10.0.0.1", &["1.2.3.4"]), https("1.2.3.4"));
        assert_eq!(from("10.0.0.1", "::ffff:10.0.0.1", &["1.2.3.4"]), https("1.2.3.4"));
        // What the caller put there itself stands before what our proxies added.
        assert_eq!(
            from("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]),
            https("1.2.3.4")
        );
        assert_eq!(from("10.0.0.0/8", "10.0.0.1", &["6.6.6.6", "1.2.3.4"]), https("1.2.3.4"));
        assert_eq!(from("10.0.0.0/8", "10.0.0.1", &["junk, 1.2.3.4:5678"]), https("1.2.3.4"));
        assert_eq!(from("10.0.0.0/8", "10.0.0.1", &["[2001:db8::1]:80"]), https("2001:db8::1"));
        assert_eq!(from("10.0.0.0/8", "10.0.0.1", &[]), https("10.0.0.1"));
    }

    #[test]
    fn nonsense_of_a_trusted_proxy_is_refused() {
        for line in ["", "unknown", "1.2.3.4, ", "1.2.3.4.5"] {
            let refused = origin("10.0.0.0/8", "10.0.0.1", &[line]).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("x-forwarded-for"), "{line}");
        }
        for networks in ["", "10.0.0.0/33", "proxy.local", "10.0.0.0/8,"] {
            assert!(networks.parse::<Proxies>().is_err(), "{networks}");
        }
    }
}
