//! An estate as it is deployed: two hubs, a bridge, adapters of both generations, an environment
//! file that everything includes. The files are in `estate/`; each application runs in its folder.

use std::path::Path;

use super::*;

/// An application's file, with these variables of the environment, on this system.
#[track_caller]
fn load(application: &str, os: Os, variables: &[(&str, &str)]) -> Config {
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/estate").join(application);
    let environment = options()
        .environment
        .variables(Some(variables.collect()))
        .working_dir(Some(root.to_string_lossy().into_owned()))
        .os(Some(os));
    let options = ConfigOptions::default().environment(environment);
    let file = format!("tests/config/estate/{application}/etc/{application}.conf");
    Config::load(file, &options).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The path from the application's root to the environment, as a start script would export it.
const ENVIRONMENT: (&str, &str) = ("ESTATE_ENV", "../env/");

/// Which of our peers the other side is, and how it is recognised.
fn accept(ours: &Config, theirs: &PeerConfig) -> Option<String> {
    let says = (theirs.local_name(), theirs.local_label(), theirs.local_id());
    let found = ours
        .peers()
        .iter()
        .filter_map(|peer| Some((peer.recognise(says.0, says.1, says.2)?, peer.name())));
    found.min().map(|(by, name)| format!("{name} by {}", by.as_str()))
}

#[test]
fn a_hub_reads_its_environment_and_its_parts() {
    let hub = load("hub", Os::Linux, &[]);
    let expected = "hub1 label hub1 port 18101 heartbeat 10s@2 slack 2.5s@3\n\
        quotes1 label quotes1 heartbeat 10s@2 slack 2.5s@3 queue 4194304\n\
        orders1 old-label orders1 id 901 heartbeat 4s@7 slack 1s@8 queue 4194304\n\
        bridge at gamma.example:18201,delta.example:18201 label bridge heartbeat 2s@21 \
        slack 2.5s@3 queue 4194304";
    assert_eq!(summary(&hub), expected);
    assert_eq!(warnings(&hub), "");
    assert_eq!(hub.application_name().value, "hub");
    let asked: Vec<_> = hub.os_conditions().iter().map(|os| (&*os.name, os.held)).collect();
    assert_eq!(asked, [("win32", false), ("darwin", false)]);
}

#[test]
fn on_another_system_other_conditions_hold() {
    let hub = load("hub", Os::Darwin, &[]);
    let asked: Vec<_> = hub.os_conditions().iter().map(|os| (&*os.name, os.held)).collect();
    assert_eq!(asked, [("win32", false), ("darwin", true)]);
    let hub = load("hub", Os::Win32, &[]);
    let asked: Vec<_> = hub.os_conditions().iter().map(|os| (&*os.name, os.held)).collect();
    assert_eq!(asked, [("win32", true)], "after a branch was taken nothing is asked");
}

#[test]
fn an_adapter_dials_its_leg_and_with_failover_the_other_one_after_it() {
    let expected = "quotes1-myhost label quotes1 heartbeat 10s@2 slack 2.5s@3\n\
        hub1 at alpha.example:18101 heartbeat 5s@17 slack 2.5s@3 queue 4194304 dial 500ms..5s";
    assert_eq!(summary(&load("quotes", Os::Linux, &[ENVIRONMENT])), expected);
    let expected = "quotes2-myhost label quotes2 heartbeat 10s@2 slack 2.5s@3\n\
        hub2 at beta.example:18102,alpha.example:18101 heartbeat 5s@17 slack 2.5s@3 \
        queue 4194304 dial 500ms..5s";
    let both = [ENVIRONMENT, ("LEG", "2"), ("FAILOVER", "on")];
    assert_eq!(summary(&load("quotes", Os::Linux, &both)), expected);
}

#[test]
fn adapters_of_both_generations_are_recognised() {
    for (leg, other) in [("1", "2"), ("2", "1")] {
        let variables = [ENVIRONMENT, ("LEG", leg), ("FAILOVER", "on")];
        let hub = load("hub", Os::Linux, &variables);
        let quotes = load("quotes", Os::Linux, &variables);
        let orders = load("orders", Os::Linux, &variables);
        let by = |config: &Config| accept(&hub, &config.peers()[0]);
        assert_eq!(by(&quotes), Some(format!("quotes{leg} by remote-label")));
        assert_eq!(by(&orders), Some(format!("orders{leg} by remote-id")));
        let failover = load("quotes", Os::Linux, &[ENVIRONMENT, ("LEG", other)]);
        assert_eq!(by(&failover), Some(format!("quotes{other} by remote-label")));
        let bridge = load("bridge", Os::Linux, &variables);
        let expected = Some(format!("hub{leg} by remote-label"));
        assert_eq!(accept(&bridge, &hub.peers()[hub.peers().len() - 1]), expected);
    }
}

#[test]
fn an_application_says_otherwise_than_the_file_it_shares() {
    let bridge = load("bridge", Os::Linux, &[]);
    let [over] = bridge.overrides() else { panic!("{:?}", bridge.overrides()) };
    let folder = "tests/config/estate";
    assert_eq!(over.item, "datasrc-heartbeat-time");
    let shown = |place: &peerbeat::config::Location| place.to_string().replace('\\', "/");
    assert_eq!(shown(&over.now), format!("{folder}/bridge/etc/bridge.conf:8"));
    assert_eq!(shown(&over.before), format!("{folder}/common/times.conf:2"));
    assert_eq!(warnings(&bridge), "", "it is done on purpose");
}

#[test]
fn what_an_older_adapter_asks_for_without_effect_is_reported() {
    let file = "tests/config/estate/orders/etc/orders.conf";
    let expected = format!(
        "{file}:1: file: not UTF-8, read as Latin-1; save the file as UTF-8\n\
         {file}:15: queue-size: skipped, its unit is not known; use send-queue-bytes\n"
    );
    assert_eq!(warnings(&load("orders", Os::Linux, &[])), expected);
}
