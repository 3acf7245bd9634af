//! `[serve]`: how the daemon listens.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// How the daemon listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServeConfig {
    /// Address and port; port 0: any that is free, printed at the start.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Threads that answer requests.
    #[schemars(range(min = 1, max = 256))]
    pub workers: u32,
    /// Connections held at once, over all threads.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u32,
    /// PEM file of the certificate (with its chain). With `tls_key` the daemon speaks TLS itself.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// Seconds that a drain waits for touches in flight.
    #[schemars(range(min = 1, max = 3_600))]
    pub drain_s: u32,
    /// Touches begun in one transaction at most while requests are served: they wait for the transaction that is under way.
    #[schemars(range(min = 1, max = 50_000))]
    pub engine_batch: u32,
    /// Bytes that a file handed in by POST may have.
    #[schemars(range(min = 1))]
    pub max_upload_bytes: u64,
    /// Seconds in which the whole of a bounded body must have come.
    #[schemars(range(min = 1, max = 3_600))]
    pub body_s: u32,
    /// Requests that a person's token may make a second.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: u32,
    /// Requests that it may make at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: u32,
    /// Requests that the token of another system (role `system`) may make a second.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub system_requests_per_second: u32,
    /// Requests that it may make at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub system_burst: u32,
    /// Unknown tokens that an address may show within a minute.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub failed_logins_per_minute: u32,
    /// Addresses of the bank's proxies: of these the last entry of `X-Forwarded-For` is taken for the caller's address.
    #[schemars(with = "Vec<String>")]
    pub proxies: Vec<IpAddr>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 2,
            connections: 10_000,
            tls_cert: None,
            tls_key: None,
            drain_s: 30,
            engine_batch: 500,
            max_upload_bytes: 20 << 30,
            body_s: 30,
            requests_per_second: 50,
            burst: 100,
            system_requests_per_second: 2_000,
            system_burst: 4_000,
            failed_logins_per_minute: 30,
            proxies: Vec::new(),
        }
    }
}

impl ServeConfig {
    /// Faults that types alone do not exclude.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (key, value, most) in [
            ("workers", self.workers, 256),
            ("connections", self.connections, 1_000_000),
            ("drain_s", self.drain_s, 3_600),
            ("engine_batch", self.engine_batch, 50_000),
            ("body_s", self.body_s, 3_600),
            ("requests_per_second", self.requests_per_second, 1_000_000),
            ("burst", self.burst, 1_000_000),
            ("system_requests_per_second", self.system_requests_per_second, 1_000_000),
            ("system_burst", self.system_burst, 1_000_000),
            ("failed_logins_per_minute", self.failed_logins_per_minute, 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                faults.push(format!("serve.{key}: expected 1 to {most}, found {value}"));
            }
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            faults.push("serve.tls_cert and serve.tls_key: expected both or neither".to_owned());
        }
        faults
    }
}
