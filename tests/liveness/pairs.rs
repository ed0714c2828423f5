//! Two ends over a line: who lives, who dies and when.

use super::line::Line;
use super::{Dice, NS, always, at, ms, settings};
use peerbeat::liveness::{Action, Settings};

// lesson 6
#[test]
fn all_combinations_of_on_and_off_live_for_100_intervals() {
    for [left, right] in [[1000, 1000], [1000, 0], [0, 1000], [0, 0]] {
        for slack in [1, 500, 2000] {
            for (make_left, make_right) in modes() {
                let ends = [make_left(left, slack), make_right(right, slack)];
                let mut line = Line::new(ends);
                line.run(ms(100_000));
                for end in &line.ends {
                    assert_eq!((end.down, end.actions.len()), (None, 0), "{ends:?}");
                    let expected = if left + right > 0 { 100..=103 } else { 0..=0 };
                    assert!(expected.contains(&end.beats().len()), "{ends:?}");
                }
            }
        }
    }
}

type Make = fn(u64, u64) -> Settings;

fn modes() -> [(Make, Make); 4] {
    [(settings, settings), (settings, always), (always, settings), (always, always)]
}

// lesson 6
#[test]
fn with_traffic_one_way_each_side_lives_and_only_the_quiet_one_beats() {
    for (mode, expected) in [(settings as Make, 1..=1), (always, 101..=101)] {
        let mut line = Line::new([mode(1000, 500), settings(1000, 500)]).with_delay(ms(30));
        for _ in 0..400 {
            line.send_data(0);
            line.run(ms(250));
        }
        assert!(line.ends.iter().all(|end| end.down.is_none() && end.actions.is_empty()));
        assert!(expected.contains(&line.ends[0].beats().len()));
        assert!((100..=101).contains(&line.ends[1].beats().len()));
    }
}

// lesson 4
#[test]
fn every_ratio_of_heartbeat_time_to_slack_and_of_the_two_ends_holds() {
    for ratio in 1..=100 {
        for (left, right, slack) in
            [(100, 100, 100 * ratio), (100 * ratio, 100 * ratio, 100), (100, 100 * ratio, 100)]
        {
            let mut line = Line::new([settings(left, slack), settings(right, slack)]);
            line = line.with_delay(ms(20));
            line.run(ms(10 * left.max(right)));
            let value = left.min(right);
            for end in &line.ends {
                assert_eq!(end.in_force(), [Some(ms(value)); 2]);
                assert_eq!(end.liveness.silence_timer().limit(), Some(ms(value + slack)));
                assert!(end.down.is_none() && end.actions.is_empty(), "1:{ratio}");
            }
            // Neither halved nor doubled: the last gaps are the value itself.
            for end in &line.ends {
                let beats = end.beats();
                let [.., before, last] = beats.as_slice() else { panic!("too few beats") };
                assert_eq!(last.0.since(before.0), ms(value), "1:{ratio}");
            }
        }
    }
}

// lesson 10
#[test]
fn jitter_below_the_slack_kills_no_link() {
    let mut dice = Dice(10);
    for jitter in [50, 499] {
        let mut line = Line::new([settings(1000, 500), settings(1000, 500)]);
        for _ in 0..20_000 {
            line.delay = [ms(dice.below(jitter + 1)), ms(dice.below(jitter + 1))];
            line.run(ms(dice.below(100)));
        }
        assert!(line.ends.iter().all(|end| end.down.is_none()), "{jitter} ms of jitter");
    }
}

// lessons 29, 30, 40, 52
#[test]
fn a_line_that_loses_everything_is_noticed_on_both_sides_at_the_limit() {
    for (busy, cut_at) in [(false, 12_345), (true, 12_345), (false, 0), (true, 1)] {
        let mut line = Line::new([settings(5000, 2000), settings(3000, 1000)]).with_delay(ms(3));
        line.run(ms(cut_at));
        line.cut = [true; 2];
        for _ in 0..1000 {
            if busy {
                line.send_data(0);
                line.send_data(1);
            }
            line.run(ms(10));
        }
        for (index, end) in line.ends.iter().enumerate() {
            let last = end.heard.last().map_or(at(0), |(at, _)| *at);
            // Before they have heard of each other, each has its own value.
            let limit = ms(match (index, end.heard.is_empty()) {
                (0, true) => 5000 + 2000,
                (0, false) => 3000 + 2000,
                _ => 3000 + 1000,
            });
            assert_eq!(end.down, Some(last + limit));
            let silence = limit;
            let verdict = (last + limit, Action::Silent { silence, limit });
            assert_eq!(end.actions.last(), Some(&verdict));
            let half = end.settings.slack / 2;
            assert_eq!(
                end.actions[0],
                (last + limit - half, Action::Late { silence: limit - half })
            );
            assert_eq!(end.actions.len(), 2);
        }
    }
}

// lessons 29, 30
#[test]
fn a_line_that_loses_one_direction_is_noticed_by_the_one_who_hears_nothing() {
    for deaf in [0, 1] {
        let mut line = Line::new([settings(1000, 500), settings(1000, 500)]);
        line.run(ms(5000));
        line.cut[deaf] = true;
        line.run(ms(1500) - NS);
        assert_eq!(line.ends[deaf].down, None);
        line.run(NS);
        assert_eq!(line.ends[deaf].down, Some(at(6500)));
        assert_eq!(line.ends[1 - deaf].down, None, "it hears heartbeats to the last");
        // Then the deaf end is down and sends no more.
        line.run(ms(10_000));
        let other = &line.ends[1 - deaf];
        let last = other.heard.last().expect("it heard some").0;
        assert_eq!(other.down, Some(last + ms(1500)));
    }
}

// lessons 33, 41
#[test]
fn an_end_that_is_stopped_for_three_limits_blames_no_peer_and_sends_one_heartbeat() {
    let mut line = Line::new([settings(1000, 500), settings(0, 86_400_000)]);
    line.run(ms(10_100));
    let before = line.ends[0].beats().len();
    line.stop(0, ms(4500));
    line.run(ms(4500));
    let stopped = &line.ends[0];
    assert_eq!(stopped.down, None);
    assert_eq!(stopped.beats().len(), before + 1, "one heartbeat, not a burst");
    assert_eq!(stopped.beats().last().map(|beat| beat.0), Some(at(14_600)));
    line.run(ms(10_000));
    assert!(line.ends.iter().all(|end| end.down.is_none()));
}

// lesson 33
#[test]
fn an_end_that_was_stopped_finds_a_dead_peer_dead_within_one_slack() {
    let mut line = Line::new([settings(1000, 500), settings(1000, 500)]);
    line.run(ms(10_100));
    line.cut = [true; 2];
    line.stop(0, ms(20_000));
    line.run(ms(60_000));
    assert_eq!(line.ends[0].down, Some(at(30_100 + 500)));
    let actions: Vec<_> = line.ends[0].actions.iter().map(|(at, _)| *at).collect();
    assert_eq!(actions, [at(30_100), at(30_100), at(30_600)], "stalled, late, silent");
}

// lesson 55
#[test]
fn a_late_peer_is_reported_and_its_return_too() {
    let mut line = Line::new([settings(1000, 500), settings(1000, 500)]);
    line.run(ms(10_000));
    line.delay = [ms(400); 2];
    line.run(ms(5000));
    for end in &line.ends {
        assert_eq!(end.actions, [(at(11_250), Action::Late { silence: ms(1250) })]);
        assert_eq!(end.recovered, [(at(11_400), ms(1400))]);
    }
}

// lesson 13
#[test]
fn a_quiet_pair_wakes_no_more_than_three_times_an_interval() {
    let mut line = Line::new([settings(1000, 500), settings(1000, 500)]).with_delay(ms(30));
    line.run(ms(100_000));
    for end in &line.ends {
        // Each wake-up asks once more after a heartbeat.
        assert!(end.polls <= 400, "{} polls in 100 intervals", end.polls);
    }
}

#[test]
fn a_value_of_one_millisecond_works_when_both_want_it() {
    let one = settings(1, 5).heartbeat_time_min(ms(1));
    let mut line = Line::new([one, one]).with_delay(ms(2));
    line.run(ms(1000));
    for end in &line.ends {
        assert!(end.down.is_none());
        assert!((1000..=1001).contains(&end.beats().len()));
    }
}
