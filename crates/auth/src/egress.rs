//! Which addresses this server may call where others choose them: public ones, and what the operator
//! allows.
//!
//! Whoever may make a webhook, or say whose tokens are taken, chooses where this server connects to.
//! Unguarded, that is a way to whatever only this server reaches: its own ports, the database, a
//! cloud's metadata. So names are resolved here, every address is checked, and the connection goes to
//! a checked address: nothing is resolved again in between.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use domain::Problem;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// How long a name may take to resolve.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to reach an address.
const CONNECT: Duration = Duration::from_secs(10);

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// Not public, by IANA's registry of special addresses.
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// All that is public in IPv6, but for what follows.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);
const SPECIAL_V6: [Ipv6Net; 3] = [v6(0x2001, 0, 23), v6(0x2001, 0xdb8, 32), v6(0x3fff, 0, 20)];
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 16);

/// The address that is reached in the end: IPv6 may carry an IPv4 address inside.
fn innermost(address: IpAddr) -> IpAddr {
    let IpAddr::V6(outer) = address else { return address };
    let [_, a, b, _, _, _, c, d] = outer.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    if outer.to_ipv4_mapped().is_some() || NAT64.contains(&outer) {
        inner(c, d)
    } else if SIX_TO_FOUR.contains(&outer) {
        inner(a, b)
    } else {
        address
    }
}

fn is_public(address: IpAddr) -> bool {
    match innermost(address) {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// Networks that may be reached although they are not public: `10.0.0.0/8, fd00::/8`.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads them from the setting of that name.
    ///
    /// # Errors
    /// A part is no network.
    pub fn parse(setting: &str, text: &str) -> Result<Self, Problem> {
        let networks = text.split([',', ' ']).filter(|part| !part.is_empty()).map(|part| {
            let network = part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| {
                let message = format!("`{part}` is no network: expected one like `10.0.0.0/8`");
                Problem::invalid(setting, message)
            })
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    fn hold(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&innermost(address)) || net.contains(&address))
    }
}

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Asks the machine's resolver.
fn look_up(host: String) -> Found {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
}

/// What is called, so that a refusal says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whoever hears of what happened.
    Webhook,
    /// Whoever says who somebody is.
    Issuer,
    /// Whoever answers hooks, and for external models.
    Remote,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Issuer => "issuer",
            Self::Remote => "server",
        }
    }

    /// The same at the beginning of a sentence.
    const fn title(self) -> &'static str {
        match self {
            Self::Webhook => "Webhook",
            Self::Issuer => "Issuer",
            Self::Remote => "Server",
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Webhook => "--webhook-allow",
            Self::Issuer => "--oidc-allow",
            Self::Remote => "--remote-allow",
        }
    }

    const fn field(self) -> &'static str {
        match self {
            Self::Webhook | Self::Remote => "url",
            Self::Issuer => "issuer",
        }
    }
}

/// Decides which addresses may be reached.
#[derive(Clone)]
pub struct Guard {
    purpose: Purpose,
    allowed: Arc<Networks>,
    /// Whether only networks are reached that the operator allows, for what may be read on the way.
    clear: bool,
    /// Another one in tests, where names change their addresses.
    look_up: fn(String) -> Found,
}

impl Guard {
    /// Lets through what is public, and these networks.
    #[must_use]
    pub fn new(purpose: Purpose, allowed: Networks) -> Self {
        Self { purpose, allowed: Arc::new(allowed), clear: false, look_up }
    }

    /// A client that connects to nothing else, follows no redirect, and waits no longer than that for
    /// an answer.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn client(&self, patience: Duration) -> reqwest::Result<reqwest::Client> {
        reqwest::Client::builder()
            .user_agent(concat!("bottega/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would be the one that is checked, in place of the receiver.
            .no_proxy()
            .dns_resolver(Arc::new(Checked(self.clone())))
            .connect_timeout(CONNECT.min(patience))
            .timeout(patience)
            .build()
    }

    /// The same for what is sent in the clear: it stays where the operator says that it may be read.
    #[must_use]
    pub fn in_the_clear(&self) -> Self {
        Self { clear: true, ..self.clone() }
    }

    fn admits(&self, address: IpAddr) -> bool {
        (!self.clear && is_public(address)) || self.allowed.hold(address)
    }

    /// Whether the host of a URL may be reached where it is an address: no client looks those up. Names
    /// are looked at by [`Guard::client`] as it connects.
    ///
    /// # Errors
    /// It may not, in words.
    pub fn check_address(&self, url: &Url) -> Result<(), String> {
        let guard = if url.scheme() == "https" { self.clone() } else { self.in_the_clear() };
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) if !guard.admits(address) => Err(self.refusal(host, address)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn refusal(&self, host: &str, address: IpAddr) -> String {
        format!(
            "`{host}` leads to {address}, which is not public: the operator may allow its network with {}",
            self.purpose.option()
        )
    }

    /// A URL that may be reached now.
    ///
    /// # Errors
    /// It is none, carries a password, does not resolve, or leads to where this server may not go.
    pub async fn check(&self, text: &str) -> Result<Url, Problem> {
        let (name, option) = (self.purpose.name(), self.purpose.option());
        let wrong = |message: String| Problem::invalid(self.purpose.field(), message);
        let kind = self.purpose.title();
        if text.trim().is_empty() {
            return Err(wrong(format!("{kind} URL cannot be empty or just whitespace")));
        }
        let url = Url::parse(text).map_err(|_| {
            let what = match text.split_once("://") {
                None => format!("Invalid {name} URL scheme: ''"),
                Some((_, "")) => format!("{kind} URL must include a hostname"),
                Some(_) => format!("Invalid {name} URL: it cannot be read"),
            };
            wrong(format!("{what}: expected one like `https://example.com/path`"))
        })?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(wrong(format!(
                "Invalid {name} URL scheme: `{}`: expected https",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the URL carries a user or a password".to_owned())
                .hint("leave it away: a secret has a place of its own"));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let addresses = self.addresses(&host).await.map_err(wrong)?;
        // What is sent in the clear must stay where the operator says that it may be read.
        if url.scheme() == "http"
            && !addresses.iter().all(|address| self.allowed.hold(address.ip()))
        {
            return Err(wrong(format!("Invalid {name} URL scheme: `http`: expected https"))
                .hint(format!("http is for networks that the operator allows with {option}")));
        }
        Ok(url)
    }

    /// The addresses of a host, each of which may be reached.
    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, String> {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let found: Vec<SocketAddr> = match literal {
            Ok(address) => vec![(address, 0).into()],
            Err(_) => tokio::time::timeout(PATIENCE, (self.look_up)(host.to_owned()))
                .await
                .map_err(|_| format!("`{host}` does not resolve in {} s", PATIENCE.as_secs()))?
                .map_err(|_| format!("`{host}` does not resolve"))?,
        };
        if found.is_empty() {
            return Err(format!("`{host}` has no address"));
        }
        match found.iter().find(|address| !self.admits(address.ip())) {
            Some(refused) => Err(self.refusal(host, refused.ip())),
            None => Ok(found),
        }
    }
}

/// Resolves names for the HTTP client, to addresses that may be reached.
struct Checked(Guard);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn guard(allowed: &str) -> Guard {
        Guard::new(Purpose::Webhook, Networks::parse("webhook_allow", allowed).unwrap())
    }

    #[test]
    fn only_public_addresses_are_reached() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fc00::1",
            "fd12::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(!guard("").admits(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(guard("").admits(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_the_operator_allows_is_reached_in_any_spelling_and_nothing_beside_it() {
        let guard = guard("10.0.0.0/8, 192.168.1.7 fd00::/8");
        for address in ["10.9.9.9", "::ffff:10.9.9.9", "64:ff9b::a09:909", "192.168.1.7", "fd00::1"]
        {
            assert!(guard.admits(address.parse().unwrap()), "{address}");
        }
        for address in ["11.0.0.0", "192.168.1.8", "127.0.0.1", "fe80::1"] {
            let address = address.parse().unwrap();
            assert!(!guard.admits(address) || is_public(address), "{address}");
        }
        assert!(Networks::parse("oidc_allow", "10.0.0.0/33").is_err());
        let problem = Networks::parse("oidc_allow", "local").unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("oidc_allow"));
    }

    #[tokio::test]
    async fn urls_that_lead_inside_are_refused_in_every_spelling() {
        for url in [
            "https://127.0.0.1/x",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://169.254.169.254/latest/meta-data",
            "https://[fe80::1]/",
            "https://0/",
            "https://017700000001/",
            "https://0x7f.0.0.1/",
            "https://127.0.1/",
            "https://%31%32%37.0.0.1/",
            "https://①②⑦.0.0.1/",
            "https://0xa9fea9fe/",
            "https://2852039166/latest/meta-data",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::169.254.169.254]/",
            "https://[fd00:ec2::254]/",
            "https://127.0.0.1\\@8.8.8.8/",
            "http://8.8.8.8/",
            "ftp://8.8.8.8/",
            "file:///etc/passwd",
            "https://user:pw@8.8.8.8/",
            "https://no-such-name.invalid/",
            "nonsense",
            "",
            "https://",
        ] {
            let problem = guard("").check(url).await.unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("url"), "{url}");
        }
        assert!(guard("").check("https://8.8.8.8/x").await.is_ok());
        assert!(guard("127.0.0.0/8").check("http://127.0.0.1:1/x").await.is_ok());
        assert!(guard("127.0.0.0/8").check("http://10.0.0.1:1/x").await.is_err());
    }

    /// A name that leads outside when it is looked at, and inside when it is connected to; and
    /// another that leads to both at once.
    #[tokio::test]
    async fn a_name_that_changes_its_address_reaches_nothing_inside() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        fn rebound(host: String) -> Found {
            Box::pin(async move {
                let (outside, inside) = (([8, 8, 8, 8], 0).into(), ([127, 0, 0, 1], 0).into());
                Ok(match ASKED.fetch_add(1, Ordering::SeqCst) {
                    _ if host == "both.test" => vec![outside, inside],
                    0 => vec![outside],
                    _ => vec![inside],
                })
            })
        }
        drop(rustls::crypto::ring::default_provider().install_default());
        let guard = Guard { look_up: rebound, ..guard("") };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(Checked(guard.clone())))
            .build()
            .unwrap();
        let url = guard.check(&format!("https://rebound.test:{port}/")).await.unwrap();
        let sent = tokio::select! {
            sent = client.post(url).send() => sent,
            reached = listener.accept() => panic!("it reached {reached:?}"),
        };
        assert!(sent.is_err_and(|error| error.is_connect()));
        assert!(guard.check("https://both.test/").await.is_err());
    }

    #[tokio::test]
    async fn the_client_is_never_given_an_address_that_may_not_be_reached() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(Checked(guard("")).resolve(name()).await.is_err());
        let found: Vec<_> =
            Checked(guard("127.0.0.1, ::1")).resolve(name()).await.unwrap().collect();
        assert!(found.iter().all(|address| address.ip().is_loopback()) && !found.is_empty());
    }
}
