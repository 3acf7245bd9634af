//! The daemon as a process of its own, on a free port, with a folder of its own; killed when it is dropped.
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A running `touchline serve`.
pub struct Daemon {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Talks to it.
    pub http: reqwest::Client,
    log: mpsc::Receiver<String>,
}

/// The program under test.
pub fn touchline(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchline"));
    command.arg("--data").arg(data).env_remove("TOUCHLINE_LOG_LEVEL").env_remove("TOUCHLINE_URL").env_remove("TOUCHLINE_TOKEN");
    command
}

impl Daemon {
    /// Starts it on a data folder; `config`: the text of a settings file.
    pub fn start(data: &Path, config: &str) -> Self {
        Self::start_with(data, config, &[])
    }
    /// The same, with variables of the environment.
    pub fn start_with(data: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        let file = data.join("touchline-test.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = touchline(data);
        command.envs(environment.iter().copied());
        command.arg("--config").arg(&file).args(["--json", "serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Standard error is read all along: a full pipe would hold the daemon up.
        let (tell, log) = mpsc::channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        // It says where it listens as its first document.
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while serde_json::from_str::<Value>(&said).is_err() {
            if out.read_line(&mut said).unwrap() == 0 {
                let why: Vec<String> = log.try_iter().collect();
                panic!("the daemon ended before it listened: {said:?} {}", why.join("\n"));
            }
        }
        std::thread::spawn(move || drop(out.read_to_end(&mut Vec::new())));
        let url = serde_json::from_str::<Value>(&said).unwrap()["listening"].as_str().unwrap().to_owned();
        touchline::app::tls::provider();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { child, url, http, log }
    }
    /// What it has logged since the last call.
    pub fn logged(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Asks it to end as a service manager does, and waits.
    pub fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        let status = self.child.wait().unwrap();
        // The reader of its standard error ends with the process.
        let log = self.log.iter().collect();
        (status, log)
    }
    /// Kills it: no chance to put anything in order.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// A request with a token.
    pub fn request(&self, method: reqwest::Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(token)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already, or ended now: either way nothing is left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
