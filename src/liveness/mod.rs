//! The rules: when to send, when silence is late, when it kills.

/// When heartbeats are sent (`heartbeat-mode`, PROTOCOL H3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Only when no byte was handed to the kernel for the heartbeat-time in force.
    #[default]
    Idle,
    /// One every heartbeat-time in force, data or not, as the Java applications do.
    Always,
}
