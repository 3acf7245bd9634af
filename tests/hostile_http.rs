//! Hostile requests: each is refused cleanly, and the server goes on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/house.rs"]
mod house;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use house::{Served, serve};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use touchline::clock::monotonic;
use touchline::domain::access::Role;

const SOON: Duration = Duration::from_secs(3);

/// The status of a raw answer; 0: closed without one.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
}

async fn lives(house: &Served) {
    let answer = house.http.get(format!("{}/healthz", house.url)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

#[tokio::test]
async fn bodies_that_are_too_large_wrong_or_no_json_are_refused() {
    let house = serve(|_| ()).await;
    let admin = house.token("alma", &[Role::Admin], |_| ()).await;
    let head = |more: &str| format!("POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin}\r\nconnection: close\r\n{more}\r\n");
    let json = "content-type: application/json\r\n";
    // It says so: refused before a byte is read.
    let answer = house.raw(head(&format!("{json}content-length: 1073741824\r\n")), SOON).await;
    assert_eq!(status(&answer), 413, "{answer}");
    // It does not say so, and does not end.
    let mut endless = head(&format!("{json}transfer-encoding: chunked\r\n"));
    for _ in 0..40 {
        endless += &format!("1000\r\n{}\r\n", "x".repeat(4096));
    }
    let answer = house.raw(endless, SOON).await;
    assert_eq!(status(&answer), 413, "{answer}");
    for (body, content_type, expected) in [
        ("{\"name\": ", "application/json", 400),
        ("\u{0}", "application/json", 400),
        (&*"[".repeat(60_000), "application/json", 422),
        (&*format!("{{\"name\":{}", "[".repeat(60_000)), "application/json", 422),
        ("[]", "application/json", 422),
        ("{\"name\": 7, \"roles\": []}", "application/json", 422),
        ("name: x", "application/yaml", 415),
        ("{}", "text/plain", 415),
        ("{}", "application/json\u{7f}", 415),
    ] {
        let answer = house.raw(head(&format!("content-type: {content_type}\r\ncontent-length: {}\r\n", body.len())) + body, SOON).await;
        let found = status(&answer);
        assert!(
            found == expected || found == 400,
            "{content_type} {}: expected {expected}, found {answer}",
            body.chars().take(40).collect::<String>()
        );
        assert!(answer.is_empty() || found != 0);
    }
    lives(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_slow_bodies_are_dropped() {
    let house = serve(|c| c.serve.body_s = 2).await;
    let admin = house.token("alma", &[Role::Admin], |_| ()).await;
    let address = house.address();
    let drip = |start: String| {
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            stream.write_all(start.as_bytes()).unwrap();
            let (began, mut read, mut buffer) = (monotonic(), Vec::new(), [0; 1024]);
            while began.elapsed() < Duration::from_secs(20) {
                // A byte twice a second, for ever.
                if stream.write_all(b"x").is_err() {
                    break;
                }
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => read.extend_from_slice(&buffer[..n]),
                    Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                    Err(_) => break,
                }
            }
            (began.elapsed(), String::from_utf8_lossy(&read).into_owned())
        })
    };
    let slow_head = drip("GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned());
    let slow_body = drip(format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin}\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{{"
    ));
    let (took, answer) = slow_head.await.unwrap();
    assert!(took < Duration::from_secs(12) && matches!(status(&answer), 0 | 408), "a slow head was held for {took:?}: {answer}");
    let (took, answer) = slow_body.await.unwrap();
    assert!(took < Duration::from_secs(15) && status(&answer) == 408, "a slow body was held for {took:?}: {answer}");
    lives(&house).await;
}

#[tokio::test]
async fn paths_lead_nowhere_but_to_operations() {
    let house = serve(|_| ()).await;
    let admin = house.token("alma", &[Role::Admin], |_| ()).await;
    for path in [
        "/../Cargo.toml",
        "/assets/../../Cargo.toml",
        "/assets/%2e%2e/%2e%2e/Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/v1/tokens/../../etc/passwd",
        "/v1/tokens/%00",
        "/v1/tokens/%c0%ae%c0%ae%2f",
        "/v1/tokens/1%0d%0aset-cookie:x=1",
        "/v1/tokens/-1",
        "/v1/tokens/99999999999999999999999",
        "/v1//tokens/1",
        "//etc/passwd",
        "/v1/tokens/%",
        "/\\..\\..\\x",
    ] {
        let answer =
            house.raw(format!("DELETE {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin}\r\nconnection: close\r\n\r\n"), SOON).await;
        assert!(matches!(status(&answer), 400 | 404 | 405), "{path}: {answer}");
        assert!(
            !answer.to_ascii_lowercase().contains("\r\nset-cookie") && !answer.contains("[package]") && !answer.contains("root:"),
            "{path}: {answer}"
        );
    }
    let long = house.raw(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(300_000)), SOON).await;
    assert!(matches!(status(&long), 0 | 400 | 404 | 414 | 431), "{}", long.chars().take(200).collect::<String>());
    lives(&house).await;
}

#[tokio::test]
async fn heads_that_smuggle_or_flood_are_refused() {
    let house = serve(|_| ()).await;
    let admin = house.token("alma", &[Role::Admin], |_| ()).await;
    let auth = format!("authorization: Bearer {admin}\r\n");
    for (what, request) in [
        ("two lengths", format!("POST /v1/tokens HTTP/1.1\r\nhost: x\r\n{auth}content-length: 2\r\ncontent-length: 40\r\n\r\n{{}}")),
        (
            "length and chunks",
            format!(
                "POST /v1/tokens HTTP/1.1\r\nhost: x\r\n{auth}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/me HTTP/1.1\r\n\r\n"
            ),
        ),
        ("a length of letters", format!("POST /v1/tokens HTTP/1.1\r\nhost: x\r\n{auth}content-length: two\r\n\r\n{{}}")),
        ("a bare line end in a header", format!("GET /v1/me HTTP/1.1\r\nhost: x\r\n{auth}x: a\nb\r\n\r\n")),
        ("a NUL in a header", format!("GET /v1/me HTTP/1.1\r\nhost: x\r\n{auth}x: a\0b\r\n\r\n")),
        ("no HTTP at all", "\u{16}\u{3}\u{1}\0hello\r\n\r\n".to_owned()),
        ("a thousand headers", format!("GET /v1/me HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(1_000))),
    ] {
        let answer = house.raw(request, SOON).await;
        assert!(matches!(status(&answer), 0 | 400 | 408 | 413 | 415 | 431), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 0, "{what}: {answer}");
    }
    // Many in one write are answered in order, each by itself.
    let many = format!("GET /v1/me HTTP/1.1\r\nhost: x\r\n{auth}\r\n").repeat(50) + "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = house.raw(many, SOON).await;
    assert_eq!((answer.matches("HTTP/1.1 200").count(), answer.matches("\"name\":\"alma\"").count()), (51, 50));
    lives(&house).await;
}

#[tokio::test]
async fn tokens_that_are_none_let_nobody_in() {
    let house = serve(|c| c.serve.failed_logins_per_minute = 1_000).await;
    let real = house.token("alma", &[Role::Admin], |_| ()).await;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let none = format!(
        "{}.{}.",
        part(r#"{"alg":"none","typ":"JWT"}"#),
        part(r#"{"sub":"alma","preferred_username":"alma","roles":["admin"],"exp":9999999999}"#)
    );
    for bearer in [
        none.as_str(),
        "a.b.c",
        "..",
        "tl_1_",
        "tl_-1_AAAA",
        &real[..real.len() - 1],
        &format!("{real}A"),
        &real.to_uppercase(),
        &"tl_1_".repeat(20_000),
        "' OR 1=1 --",
    ] {
        let answer = house.raw(format!("GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\nconnection: close\r\n\r\n"), SOON).await;
        assert!(matches!(status(&answer), 401 | 431 | 400 | 0), "{}: {answer}", bearer.chars().take(60).collect::<String>());
        assert!(!answer.contains(&real), "a refusal repeats no token");
    }
    for header in ["Basic YWxtYTp4", "Bearer", "Bearer ", "bearer\t", "Token x"] {
        let answer = house.raw(format!("GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: {header}\r\nconnection: close\r\n\r\n"), SOON).await;
        assert!(status(&answer) == 401 && answer.contains("www-authenticate: Bearer"), "{header}: {answer}");
    }
    assert_eq!(house.get(&real, "/v1/me").await.0, 200);
}
