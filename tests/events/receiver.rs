//! A receiver of webhooks that answers by script: it takes, refuses, redirects, is slow, is gone, or dies in the middle.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it answers the next request; once the script is over it takes everything.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16),
    Redirect(String),
    /// Never.
    Silence,
    /// It closes the connection in place of an answer.
    Death,
    /// 200 with a body of so many bytes.
    Long(usize),
}

#[derive(Clone, Debug)]
pub struct Got {
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub taken: bool,
}

impl Got {
    pub fn header(&self, name: &str) -> String {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default()
    }
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    pub async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            got: Arc::default(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
        };
        let server = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = server.clone();
                tokio::spawn(async move { server.answer(stream).await });
            }
        });
        receiver
    }
    pub fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().extend(answers);
    }
    pub fn all(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
    pub fn taken(&self) -> Vec<Got> {
        self.all().into_iter().filter(|got| got.taken).collect()
    }

    async fn answer(&self, mut stream: TcpStream) {
        let Some((headers, body)) = read(&mut stream).await else { return };
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
        let taken = matches!(answer, Answer::Status(200..300) | Answer::Long(_));
        self.got.lock().unwrap().push(Got { headers, body, taken });
        let text = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
            Answer::Redirect(to) => format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            Answer::Long(n) => format!("HTTP/1.1 200 OK\r\ncontent-length: {n}\r\nconnection: close\r\n\r\n{}", "x".repeat(n)),
            Answer::Silence => {
                touchline::clock::sleep_ms(60_000).await;
                return;
            }
            Answer::Death => return,
        };
        // Whoever asked may be gone.
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<(Vec<(String, String)>, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let headers: Vec<(String, String)> =
                head.lines().skip(1).filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
            let length: usize = headers.iter().find(|(n, _)| n == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some((headers, String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned()));
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}
