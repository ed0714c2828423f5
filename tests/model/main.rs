//! The rules of heartbeats and of the orderly close, as a model that is explored exhaustively.
//!
//! Time goes in ticks. In each tick every wire delivers any part of what its delay allows, and
//! every side takes any one step that it may take; the exploration follows all choices until no new
//! state appears. So a bound holds for every possible schedule, and for a bound that is one tick
//! too small the schedule that breaks it is printed.
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
