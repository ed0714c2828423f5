//! A RabbitMQ with its STOMP plugin, on loopback, in directories and on ports of its own.
//!
//! It is an ordinary child process, killed when the value is dropped, and so is the epmd that its
//! Erlang wants: started by Erlang itself it would stay behind as a daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::liveness::FixedIntervals;

use crate::examples::stomp::{self, greeting::Greeted};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A running broker.
pub(crate) struct Broker {
    server: Child,
    epmd: Child,
    dir: PathBuf,
    port: u16,
}

impl Broker {
    /// Starts a broker and waits until it shakes hands; `None` if RabbitMQ is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(SERVER).exists() {
            return None;
        }
        let [port, amqp, dist, epmd_port] = crate::basics::free_ports();
        let dir = std::env::temp_dir().join(format!("peerbeat-rabbitmq-{port}"));
        fs::create_dir_all(&dir).unwrap();
        let epmd = Command::new("epmd")
            .args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"])
            .spawn()
            .ok()?;
        let server = serve(&dir, [port, amqp, dist, epmd_port]);
        let broker = Self { server, epmd, dir, port };
        let until = Instant::now() + Duration::from_secs(90);
        while broker.dial(Duration::from_secs(1)).is_err() {
            assert!(Instant::now() < until, "RabbitMQ did not start:\n{}", broker.output());
            thread::sleep(Duration::from_millis(200));
        }
        Some(broker)
    }

    /// A new session, with heart-beats of `beat` in both directions.
    pub(crate) fn session(&self, beat: Duration) -> Greeted<FixedIntervals> {
        self.dial(beat).unwrap_or_else(|e| panic!("{e}\n{}", self.output()))
    }

    /// Sends the broker's process a signal.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.server.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }

    fn dial(&self, beat: Duration) -> std::io::Result<Greeted<FixedIntervals>> {
        stomp::connect(("127.0.0.1", self.port), (beat, beat), Duration::from_secs(10))
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.join("output")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.epmd] {
            // SIGKILL ends a stopped process too.
            let _gone = child.kill();
            let _gone = child.wait();
        }
        let _may_stay = fs::remove_dir_all(&self.dir);
    }
}

fn serve(dir: &Path, [stomp, amqp, dist, epmd]: [u16; 4]) -> Child {
    let (config, plugins) = (dir.join("rabbitmq.conf"), dir.join("enabled_plugins"));
    let listeners =
        format!("listeners.tcp.1 = 127.0.0.1:{amqp}\nstomp.listeners.tcp.1 = 127.0.0.1:{stomp}\n");
    fs::write(&config, listeners).unwrap();
    fs::write(&plugins, "[rabbitmq_stomp].\n").unwrap();
    let output = fs::File::create(dir.join("output")).unwrap();
    Command::new(SERVER)
        .env("HOME", dir) // for the Erlang cookie
        .env("RUNNING_UNDER_SYSTEMD", "1") // the script becomes the broker: one process, one signal
        .env_remove("NOTIFY_SOCKET")
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", &config)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", &plugins)
        .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", dir.join("log"))
        .env("RABBITMQ_NODENAME", format!("peerbeat{stomp}@localhost"))
        .env("RABBITMQ_DIST_PORT", dist.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap()
}
