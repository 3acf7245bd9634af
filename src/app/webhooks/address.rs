//! Which addresses events may be sent to. A subscription must not make this house speak to what only it can reach (server-side request
//! forgery): names are resolved by us, and every address is looked at when the connection is made.
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads a subscription's URL: https, or http to loopback where private addresses are allowed; without a user and a password; to a public
/// address unless private ones are allowed.
pub fn check_url(text: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("url: expected an absolute URL such as https://bank.example/hook: {e}"))?;
    if text.len() > 2_000 {
        return Err("url: expected at most 2,000 characters".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url: expected no user and no password in it; deliveries are signed".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let is_loopback = host.eq_ignore_ascii_case("localhost") || literal.is_some_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        other => return Err(format!("url: expected https (or http to loopback), found {other}")),
    }
    if !allow_private && (is_loopback || literal.is_some_and(|ip| !is_public(ip))) {
        return Err("url: expected a public address; private and loopback ones are allowed by `webhooks.allow_private = true`".to_owned());
    }
    Ok(url)
}

/// Whether an address is one of the public internet. (IANA special-purpose registries, RFC 6890 and its successors.)
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        // Shared by carriers (RFC 6598); protocol assignments; 6to4 relays; benchmarks (RFC 2544); reserved, and broadcast.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(inner) = ip.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let inner = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b) {
        // NAT64 (RFC 6052) and 6to4 bear an address of the old kind.
        (0x64, 0xff9b) => (c, d, e, f) == (0, 0, 0, 0) && inner(g, h),
        (0x2002, _) => inner(b, c),
        // Teredo, and other protocol assignments; documentation.
        (0x2001, _) if b < 0x200 || b == 0xdb8 => false,
        (0x3fff, _) if b < 0x1000 => false,
        // Global unicast is 2000::/3: loopback, unique local, link local, multicast are outside of it.
        _ => (0x2000..0x4000).contains(&a),
    }
}

/// Resolves names, and leaves out what may not be spoken to.
pub(super) struct Resolver {
    pub allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|a| allow_private || is_public(a.ip())).collect();
            if allowed.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for ip in ["8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_spoken_to() {
        let ask = |allow_private| Resolver { allow_private }.resolve("localhost".parse().unwrap());
        assert!(ask(false).await.is_err(), "looked at when the connection is made, whatever the name said before");
        assert!(ask(true).await.unwrap().all(|a| a.ip().is_loopback()));
    }

    #[test]
    fn urls_of_subscriptions() {
        for (url, public, private) in [
            ("https://bank.example/hook", true, true),
            ("http://bank.example/hook", false, false),
            ("https://127.0.0.1/hook", false, true),
            ("http://127.0.0.1:9/hook", false, true),
            ("http://localhost:9/hook", false, true),
            ("http://[::1]:9/hook", false, true),
            ("http://10.0.0.1/hook", false, false),
            ("https://10.0.0.1/hook", false, true),
            // What a browser would read as loopback is read so here too.
            ("https://2130706433/hook", false, true),
            ("https://0x7f.1/hook", false, true),
            ("https://[::ffff:169.254.169.254]/", false, true),
            ("https://user:pass@bank.example/", false, false),
            ("ftp://bank.example/", false, false),
            ("bank.example/hook", false, false),
        ] {
            assert_eq!(check_url(url, false).is_ok(), public, "{url}");
            assert_eq!(check_url(url, true).is_ok(), private, "{url}, private allowed");
        }
    }
}
