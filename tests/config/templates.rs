//! A deployment in the style of upstream's templates: two legs, with and without failover, through
//! a transformer or directly. The files are in `pricing/`.

use super::*;

const ADAPTER: &str = "adapter/etc/datasource.conf";
const TRANSFORMER: &str = "transformer/etc/transformer.conf";
const LIBERATOR: &str = "liberator/etc/rttpd.conf";

/// A file of the deployment, with these variables of the environment.
#[track_caller]
fn load(file: &str, variables: &[(&str, &str)]) -> Config {
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let environment = options().environment.variables(Some(variables.collect()));
    let options = ConfigOptions::default().environment(environment);
    let config = Config::load(format!("tests/config/pricing/{file}"), &options);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(warnings(&config), "", "{file}");
    config
}

/// Which of our peers the other side is, if it dials us.
fn accept<'c>(ours: &'c Config, theirs: &Config) -> Vec<&'c str> {
    let says = |peer: &&PeerConfig| peer.matches(theirs.name(), theirs.label(), theirs.id());
    ours.peers().iter().filter(says).map(PeerConfig::name).collect()
}

#[test]
fn an_adapter_dials_the_transformer_of_its_leg() {
    let expected = "PricingAdapter1-myhost label PricingAdapter1\n\
                    transformer1 at cache-a.example:15101 heartbeat 15s@32 slack 5s@33";
    assert_eq!(summary(&load(ADAPTER, &[])), expected);
    let expected = "PricingAdapter2-myhost label PricingAdapter2\n\
                    transformer2 at cache-b.example:15102,cache-c.example:15102 \
                    heartbeat 15s@32 slack 5s@33";
    assert_eq!(summary(&load(ADAPTER, &[("LEG", "2")])), expected);
}

#[test]
fn with_failover_an_adapter_dials_both_legs() {
    let expected = "PricingAdapter1-myhost label PricingAdapter1\n\
                    transformer1 at cache-a.example:15101 heartbeat 15s@32 slack 5s@33\n\
                    transformer2 at cache-b.example:15102,cache-c.example:15102 \
                    heartbeat 15s@42 slack 5s@43";
    assert_eq!(summary(&load(ADAPTER, &[("FAILOVER", "ENABLED")])), expected);
}

#[test]
fn without_the_transformer_an_adapter_dials_the_server() {
    let expected = "PricingAdapter1-myhost label PricingAdapter1\n\
                    liberator1 at prices-a.example:15001 heartbeat 15s@56 slack 5s@57";
    assert_eq!(summary(&load(ADAPTER, &[("DIRECT", "yes")])), expected);
    let expected = "PricingAdapter2-myhost label PricingAdapter2\n\
                    liberator2 at prices-b.example:15002,prices-a.example:15001 \
                    heartbeat 15s@56 slack 5s@57";
    let variables = [("DIRECT", "yes"), ("LEG", "2"), ("FAILOVER", "ENABLED")];
    assert_eq!(summary(&load(ADAPTER, &variables)), expected);
}

#[test]
fn a_base_in_the_environment_is_used_instead_of_our_own() {
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/pricing/environment/");
    let with_base = load(ADAPTER, &[("CONFIG_BASE", base)]);
    assert_eq!(summary(&with_base), summary(&load(ADAPTER, &[])));
}

#[test]
fn the_transformer_waits_for_adapters_and_dials_the_server() {
    let expected = "transformer1 label transformer1 port 15101 reject heartbeat 10s@40 \
                    slack 2.5s@41\n\
                    PricingAdapter1 label PricingAdapter1 heartbeat 15s@6 slack 5s@7\n\
                    PricingAdapter2 label PricingAdapter2 heartbeat 15s@15 slack 5s@16\n\
                    liberator1 at prices-a.example:15001 heartbeat 10s@40 slack 2.5s@41";
    assert_eq!(summary(&load(TRANSFORMER, &[("FAILOVER", "ENABLED")])), expected);
    let direct = load(TRANSFORMER, &[("DIRECT", "yes")]);
    assert_eq!(direct.peers().len(), 1);
}

#[test]
fn an_adapter_whose_name_carries_its_host_is_known_by_its_label() {
    for leg in ["1", "2"] {
        let variables = [("LEG", leg), ("FAILOVER", "ENABLED")];
        let adapter = load(ADAPTER, &variables);
        assert_eq!(adapter.name(), format!("PricingAdapter{leg}-myhost"));
        let transformer = load(TRANSFORMER, &[("FAILOVER", "ENABLED")]);
        assert_eq!(accept(&transformer, &adapter), [adapter.label()]);
        let liberator = load(LIBERATOR, &[("FAILOVER", "ENABLED"), ("DIRECT", "yes")]);
        assert_eq!(accept(&liberator, &adapter), [adapter.label()]);
    }
    let stranger = load(ADAPTER, &[("LEG", "2")]);
    assert_eq!(accept(&load(TRANSFORMER, &[]), &stranger), [""; 0]);
}

#[test]
#[cfg_attr(windows, ignore = "paths are shown with backslashes there")]
fn a_value_names_the_file_that_set_it() {
    let transformer = load(TRANSFORMER, &[]);
    let peers = "tests/config/pricing/transformer/etc/adapter-peers.conf";
    let times: Vec<String> =
        transformer.peers().iter().map(|peer| peer.heartbeat_time().origin.to_string()).collect();
    let own = "tests/config/pricing/transformer/etc/transformer.conf:40";
    assert_eq!(times, [format!("{peers}:6"), own.to_owned()]);
    assert_eq!(transformer.peers()[0].origin().to_string(), format!("{peers}:2"));
    let from = transformer.peers()[0].origin().included_from().expect("an include");
    assert_eq!(from.to_string(), "tests/config/pricing/transformer/etc/transformer.conf:11");
}
