//! The dialling plan on instants of the test's own: what is dialled when, and what is reported.
//!
//! A bench asks the plan as its driver does, draws every wait at its ceiling, and lets dials
//! fail as the test says.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::config::{Config, ConfigOptions};
use crate::node::held::{Claim, ClaimRules, HelloEnd, HelloStart, Step};
use crate::node::ownership::tests::{FakeLink, FakeSocket};

type Rules = Ownership<FakeLink, FakeSocket>;

const SECOND: Duration = Duration::from_secs(1);

fn peer(addresses: &str) -> Arc<PeerConfig> {
    let text = format!("datasrc-name a\nadd-peer\nremote-name b\n{addresses}\nend-peer\n");
    let config = Config::parse(&text, &ConfigOptions::default()).expect("it is correct");
    Arc::new(config.peers()[0].clone())
}

const TWO: &str = "addr first\nport 1\naddr second\nport 2\nconnect-timeout 10\nreconnect-time-min 1\n\
                   reconnect-time-max 4";

/// A plan, with the ownership and the configuration that it is asked with.
struct Bench {
    plan: DialPlan,
    rules: Rules,
    peer: Arc<PeerConfig>,
    now: Time,
}

impl Bench {
    fn new(addresses: &str) -> Self {
        let peer = peer(addresses);
        let plan = DialPlan::new(&peer);
        Self { plan, rules: Rules::new(), peer, now: Time::ZERO }
    }

    /// Waits are drawn at their ceiling.
    fn poll(&mut self) -> DialStep {
        self.plan.poll(&mut self.rules, &self.peer, self.now, || u64::MAX)
    }

    /// All that happens until the plan waits, as words; every dial fails as `fail` says.
    fn run(&mut self, mut fail: impl FnMut(Endpoint) -> DialFailedReason) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match self.poll() {
                DialStep::Report(event) => seen.push(event.to_string()),
                DialStep::Resolve { address, deadline } => {
                    assert_eq!(deadline, self.now + SECOND * 10);
                    let port = if address.to_string().starts_with("first") { 1 } else { 2 };
                    self.plan.handle_resolved(Ok(vec![addr(1, port), addr(2, port)]));
                }
                DialStep::Connect { addr, deadline, .. } => {
                    assert_eq!(deadline, self.now + SECOND * 10);
                    seen.push(addr.to_string());
                    let (reason, detail) = (fail(addr), "no".to_owned());
                    self.plan.handle_failed(DialFailure { reason, detail }, self.now);
                }
                DialStep::Wait { until } => {
                    seen.push(format!("until {}", until.as_nanos() / 1_000_000_000));
                    return seen;
                }
                DialStep::Stop => {
                    seen.push("stop".to_owned());
                    return seen;
                }
            }
        }
    }
}

fn addr(host: u8, port: u16) -> Endpoint {
    SocketAddr::from(([10, 0, 0, host], port)).into()
}

#[test]
fn a_round_tries_every_address_of_every_host_and_waits_grow() {
    let mut bench = Bench::new(TWO);
    let round = |wait: &str, until: &str| {
        vec![
            "dialling first:1".to_owned(),
            "10.0.0.1:1".to_owned(),
            "10.0.0.2:1".to_owned(),
            "dial failed: first:1: connect: 10.0.0.1:1: no; 10.0.0.2:1: no".to_owned(),
            "dialling second:2".to_owned(),
            "10.0.0.1:2".to_owned(),
            "10.0.0.2:2".to_owned(),
            "dial failed: second:2: connect: 10.0.0.1:2: no; 10.0.0.2:2: no".to_owned(),
            format!("retry: next dial in {wait}"),
            format!("until {until}"),
        ]
    };
    let connect = |_| DialFailedReason::Connect;
    for (now, wait, until) in
        [(0, "1.0000 s", "1"), (1, "2.0000 s", "3"), (3, "4.0000 s", "7"), (7, "4.0000 s", "11")]
    {
        bench.now = Time::ZERO + SECOND * now;
        assert_eq!(bench.run(connect), round(wait, until));
        bench.now = bench.now + Duration::from_millis(1);
        assert_eq!(bench.run(connect), [format!("until {until}")], "it is not due");
    }
}

#[test]
fn a_host_that_refuses_in_our_protocol_is_not_asked_again() {
    let mut bench = Bench::new(TWO);
    let seen = bench.run(|_| DialFailedReason::Refused);
    let dials: Vec<_> = seen.iter().filter(|line| line.starts_with("10.")).collect();
    assert_eq!(dials, ["10.0.0.1:1", "10.0.0.1:2"]);
    assert!(seen.contains(&"dial failed: first:1: refused: 10.0.0.1:1: no".to_owned()), "{seen:?}");
}

#[test]
fn a_link_that_did_not_last_counts_as_an_address_that_failed() {
    let mut bench = Bench::new(TWO);
    while !matches!(bench.poll(), DialStep::Connect { .. }) {
        bench.plan.handle_resolved(Ok(vec![addr(1, 1)]));
    }
    bench.plan.handle_ended(false, bench.now);
    // Nothing failed: it goes on with the next address.
    assert_eq!(bench.poll(), DialStep::Report(NodeEvent::Dialling { addr: "second:2".to_owned() }));
}

#[test]
fn a_stable_link_ends_the_round_and_the_wait_begins_from_the_least() {
    let mut bench = Bench::new(TWO);
    for now in [0, 1, 3] {
        bench.now = Time::ZERO + SECOND * now;
        bench.run(|_| DialFailedReason::Connect);
    }
    bench.now = Time::ZERO + SECOND * 7;
    while !matches!(bench.poll(), DialStep::Connect { .. }) {
        bench.plan.handle_resolved(Ok(vec![addr(1, 1)]));
    }
    let HelloStart::Go(number) = bench.rules.begin_hello(FakeSocket::default()) else { panic!() };
    assert_eq!(bench.rules.end_hello(number, true), HelloEnd::Ours(Some(number)));
    bench.rules.end_lease(true);
    bench.plan.handle_ended(true, bench.now);
    assert_eq!(
        bench.run(|_| panic!("nothing is due")),
        ["retry: next dial in 1.0000 s", "until 8"]
    );
}

#[test]
fn a_peer_that_comes_by_itself_ends_the_round_and_one_with_other_addresses_begins_another() {
    let mut bench = Bench::new(TWO);
    assert!(matches!(bench.poll(), DialStep::Report(_)));
    let (mut claim, terms) =
        (Claim::default(), ClaimRules { ours_first: false, reject_new: false });
    let step = bench.rules.poll_claim(&mut claim, terms, Time::NEVER, bench.now);
    assert!(matches!(step, Step::Granted { .. }));
    assert_eq!(bench.poll(), DialStep::Wait { until: Time::NEVER });
    bench.rules.end_lease(false);
    assert_eq!(
        bench.run(|_| panic!("nothing is due")),
        ["retry: next dial in 1.0000 s", "until 1"]
    );

    bench.now = Time::ZERO + SECOND;
    assert!(matches!(bench.poll(), DialStep::Report(_)));
    bench.peer = peer("addr third\nport 3");
    let event = NodeEvent::Dialling { addr: "third:3".to_owned() };
    assert_eq!(bench.poll(), DialStep::Report(event));
}

#[test]
fn a_stop_ends_it_wherever_it_is() {
    let mut bench = Bench::new(TWO);
    while !matches!(bench.poll(), DialStep::Resolve { .. }) {}
    bench.rules.stop();
    assert_eq!(bench.poll(), DialStep::Stop);
}
