//! The rules of heartbeats and of the orderly close, as a model that is explored whole.
//!
//! Time goes in ticks. In each tick every wire delivers as much as it likes of what its delay
//! allows, and every side does any one thing that it may do; the exploration follows all of it
//! until no new state comes. So a bound holds for every schedule there is, and one that is a tick
//! too small comes with the schedule that breaks it.
//!
//! `ends` has the rules H1 to H4, `closing` H5. `bounds` asks which slack is enough, `found` how
//! soon a dead peer is found, `wordings` breaks the rules in ways that were once believed right:
//! the model must catch each of them, or it would prove nothing.
//!
//! `cargo test` explores small worlds, `cargo test --release --test model -- --ignored` larger
//! ones.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod bounds;
mod closing;
mod ends;
mod explore;
mod found;
mod wordings;
mod world;
