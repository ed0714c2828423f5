//! Each half, and both together, against the models, by steps that chance draws.

use std::time::Duration;

use super::models::{self, Do, Hear, Send};
use super::{EDGES, NS, ms};
use peerbeat::liveness::{FixedIntervals, Mode, Settings};
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 1000 })
    }
}

fn some_settings() -> impl Strategy<Value = Settings> {
    let heartbeat_time = prop_oneof![
        Just(None),
        Just(Some(ms(0))),
        (1u64..8000).prop_map(|value| Some(ms(value))),
        (1u64..8_000_000).prop_map(|value| Some(Duration::from_micros(value))),
    ];
    let slack = prop_oneof![Just(ms(0)), Just(NS), (0u64..4000).prop_map(ms)];
    let floor =
        prop_oneof![Just(ms(0)), Just(ms(100)), (0u64..300_000).prop_map(Duration::from_micros)];
    let given = prop_oneof![
        3 => Just(None),
        1 => (0u64..6000, 0u64..6000).prop_map(|(send, expect)| {
            Some(FixedIntervals { send: Some(ms(send)), expect: Some(ms(expect)) })
        }),
    ];
    (heartbeat_time, slack, floor, any::<bool>(), given).prop_map(
        |(heartbeat_time, slack, floor, idle, given)| {
            let mode = if idle { Mode::Idle } else { Mode::Always };
            Settings::default()
                .heartbeat_time(heartbeat_time)
                .slack(slack)
                .mode(mode)
                .heartbeat_time_min(floor)
                .given(given)
        },
    )
}

fn some_value() -> impl Strategy<Value = u32> {
    prop_oneof![1 => prop::sample::select(EDGES.to_vec()), 2 => 0u32..8000]
}

fn some_send() -> impl Strategy<Value = Send> {
    prop_oneof![
        2 => (0u64..6000).prop_map(|millis| Send::Pass(ms(millis))),
        4 => (-1i8..=1).prop_map(Send::PassToDue),
        2 => Just(Send::Bytes),
        6 => Just(Send::Beat),
        1 => some_value().prop_map(Send::Stale),
        2 => some_value().prop_map(Send::Adopt),
        1 => (0u64..8_000_000).prop_map(|micros| Send::Lower(Duration::from_micros(micros))),
        1 => (0u64..4000).prop_map(|slack| Send::Slack(ms(slack))),
        4 => Just(Send::Pending),
        1 => (0u64..6000).prop_map(|late| Send::Waited(ms(late))),
    ]
}

fn some_hear() -> impl Strategy<Value = Hear> {
    let pause = (0u64..6000).prop_map(ms);
    prop_oneof![
        2 => pause.clone().prop_map(Hear::Pass),
        6 => (-1i8..=1).prop_map(Hear::PassToNext),
        2 => Just(Hear::Bytes),
        2 => some_value().prop_map(Hear::Heartbeat),
        1 => pause.clone().prop_map(Hear::Held),
        2 => pause.prop_map(Hear::Waited),
        1 => (0u64..8_000_000).prop_map(|micros| Hear::Lower(Duration::from_micros(micros))),
        1 => (0u64..4000).prop_map(|slack| Hear::Slack(ms(slack))),
    ]
}

fn some_do() -> impl Strategy<Value = Do> {
    prop_oneof![
        2 => (0u64..9000).prop_map(|millis| Do::Pass(ms(millis))),
        6 => (-1i8..=1).prop_map(Do::PassToNext),
        2 => Just(Do::Sent),
        6 => Just(Do::BeatSent),
        3 => Just(Do::Received),
        2 => some_value().prop_map(Do::Heartbeat),
        1 => (0u64..8_000_000).prop_map(|micros| Do::Lower(Duration::from_micros(micros))),
        1 => (0u64..4000).prop_map(|slack| Do::Slack(ms(slack))),
        3 => Just(Do::Pending),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn pulse_does_what_the_definitions_say(
        settings in some_settings(),
        steps in vec(some_send(), 1..60),
    ) {
        models::run_pulse(settings, steps);
    }

    #[test]
    fn watch_does_what_the_definitions_say(
        settings in some_settings(),
        steps in vec(some_hear(), 1..60),
    ) {
        models::run_watch(settings, steps);
    }

    #[test]
    fn both_halves_together_do_what_the_definitions_say(
        settings in some_settings(),
        steps in vec(some_do(), 1..60),
    ) {
        models::run_both(settings, steps);
    }
}
