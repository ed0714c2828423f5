//! One picture of all peers: lines of text for a screen of a given size.
//!
//! Nothing here writes or waits. A state is a word and a letter, never a colour alone; a colour is
//! added if the terminal shows any.

use std::time::{Duration, UNIX_EPOCH};

use super::model::{Model, PeerRow, State};
use super::units::{amount, long, span};
use crate::clock;
use crate::text::Escaped;

/// What the person in front of the screen has chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) sort: Sort,
    pub(crate) down_only: bool,
    pub(crate) find: String,
    /// The text for `find` is being typed.
    pub(crate) is_typing: bool,
    /// The place of the chosen peer in the list.
    pub(crate) chosen: usize,
    /// The first peer that is shown.
    pub(crate) first: usize,
    /// The one that is shown in detail.
    pub(crate) one_peer: Option<String>,
    pub(crate) is_paused: bool,
    pub(crate) has_keys: bool,
    pub(crate) colours: bool,
}

/// The order of the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    #[default]
    Worst,
    Name,
    Silence,
    Losses,
    Queue,
}

impl Sort {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Worst => Self::Name,
            Self::Name => Self::Silence,
            Self::Silence => Self::Losses,
            Self::Losses => Self::Queue,
            Self::Queue => Self::Worst,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Worst => "worst first",
            Self::Name => "by name",
            Self::Silence => "by silence",
            Self::Losses => "by losses",
            Self::Queue => "by queue",
        }
    }
}

/// The size of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) lines: usize,
}

/// The peers that are shown, in their order.
pub(crate) fn listed<'a>(
    model: &'a Model,
    view: &View,
    now: Duration,
) -> Vec<(&'a String, &'a PeerRow)> {
    let find = view.find.to_lowercase();
    let fits = |name: &str, peer: &PeerRow| {
        (!view.down_only || matches!(peer.state, State::Down | State::Never))
            && (find.is_empty() || name.to_lowercase().contains(&find))
    };
    let mut peers: Vec<_> = model.peers.iter().filter(|(name, peer)| fits(name, peer)).collect();
    // Equal ones stay in the order of their names.
    match view.sort {
        Sort::Name => {}
        Sort::Worst => peers.sort_by_key(|(_, peer)| rank(peer)),
        Sort::Silence => peers.sort_by_key(|(_, peer)| {
            std::cmp::Reverse(peer.silence_at(now).unwrap_or(Duration::MAX))
        }),
        Sort::Losses => peers.sort_by_key(|(_, peer)| std::cmp::Reverse(peer.losses())),
        Sort::Queue => {
            peers.sort_by_key(|(_, peer)| std::cmp::Reverse(peer.numbers.queued_bytes));
        }
    }
    peers
}

/// Those that are down first, the latest of them at the top; those that are up stay in the order of
/// their names, or every line would move every second.
fn rank(peer: &PeerRow) -> (u8, std::cmp::Reverse<Duration>) {
    let since = std::cmp::Reverse(peer.since);
    match peer.state {
        State::Down => (0, since),
        State::Late => (1, since),
        State::Never => (2, std::cmp::Reverse(Duration::ZERO)),
        State::Up => (3, std::cmp::Reverse(Duration::ZERO)),
    }
}

/// The whole picture, one line less than the screen has, so that it never scrolls.
pub(crate) fn frame(model: &Model, view: &mut View, size: Size, now: Duration) -> Vec<String> {
    let peers = listed(model, view, now);
    view.chosen = view.chosen.min(peers.len().saturating_sub(1));
    let columns = Columns::of(size.columns);
    let mut lines = head(model, now);
    lines.push(String::new());
    lines.push(columns.head());
    let left = size.lines.saturating_sub(1 + lines.len() + 1);
    let events = (left / 3).min(EVENTS_SHOWN).min(model.events.len());
    // One line reports how many are not shown, and one is empty.
    let room = left.saturating_sub(events + 2).max(1);
    let shown = peers.len().min(room);
    // The chosen one is among those that are shown, and no line is empty for nothing.
    let least = (view.chosen + 1).saturating_sub(shown);
    view.first = view.first.max(least).min(view.chosen).min(peers.len() - shown);
    for (index, (name, peer)) in peers.iter().enumerate().skip(view.first).take(shown) {
        let line = columns.row(name, peer, now, view.has_keys && index == view.chosen);
        lines.push(painted(cut(&line, size.columns), peer.state, view.colours));
    }
    let hidden = || peers[..view.first].iter().chain(&peers[view.first + shown..]);
    lines.push(rest(hidden().map(|(_, peer)| *peer), model.peers.is_empty()));
    lines.push(String::new());
    for event in model.events.iter().rev().take(events).rev() {
        let peer = padded(&Escaped(&event.peer).to_string(), 12);
        lines.push(format!("  {}  {peer}  {}", time_of_day(event.at), event.text));
    }
    lines.push(keys(view, model));
    lines.truncate(size.lines.saturating_sub(1).max(1));
    lines.iter_mut().for_each(|line| *line = cut(line, size.columns));
    lines
}

/// Who, when, how many; and what goes over the links.
pub(crate) fn head(model: &Model, now: Duration) -> Vec<String> {
    let at = clock::written(UNIX_EPOCH + now);
    let at = if now.is_zero() {
        "no event yet".to_owned()
    } else {
        format!("{} {} UTC", &at[..10], &at[11..19])
    };
    let [up, late, down, never] =
        [State::Up, State::Late, State::Down, State::Never].map(|state| model.count(state));
    let never = if never > 0 { format!("  {never} never up") } else { String::new() };
    let since = model.first.map_or(Duration::ZERO, |first| now.saturating_sub(first));
    let node = padded(&Escaped(&model.node).to_string(), 0);
    let first = format!(
        "{}  {at}  {}  {}: {up} up  {late} late  {down} down{never}",
        cut(&node, 20),
        long(since),
        counted(model.peers.len(), "peer"),
    );
    let rates = model.rates();
    let losses: u64 = model.losses.values().sum();
    let mut second = format!(
        "in {}/s {}B/s  out {}/s {}B/s  losses {losses}",
        amount(rates.messages_in),
        amount(rates.bytes_in),
        amount(rates.messages_out),
        amount(rates.bytes_out),
    );
    for (index, (reason, count)) in model.losses.iter().enumerate() {
        let comma = if index == 0 { ":" } else { "" };
        second += &format!("{comma} {} {count}", Escaped(reason));
    }
    vec![first, second]
}

fn rest<'a>(hidden: impl Iterator<Item = &'a PeerRow>, is_empty: bool) -> String {
    let hidden: Vec<_> = hidden.collect();
    let bad = hidden.iter().filter(|peer| peer.state != State::Up).count();
    match (hidden.len(), bad) {
        (0, _) if is_empty => "  no peers so far".to_owned(),
        (0, _) => String::new(),
        (count, 0) => format!("  ... {count} more, all up"),
        (count, bad) => format!("  ... {count} more, {bad} of them not up"),
    }
}

fn keys(view: &View, model: &Model) -> String {
    if view.is_typing {
        return format!("find: {}_   [enter] keep  [esc] all", Escaped(&view.find));
    }
    let mut line = match view.has_keys {
        true => "[q]uit [s]ort [d]own [/]find [enter] one peer [p]ause".to_owned(),
        false => String::new(),
    };
    if view.is_paused {
        line += "  PAUSED";
    }
    if view.sort != Sort::Worst {
        line += &format!("  {}", view.sort.as_str());
    }
    if view.down_only {
        line += "  down only";
    }
    if !view.find.is_empty() {
        line += &format!("  \"{}\"", Escaped(&view.find));
    }
    if model.skipped > 0 {
        line += &format!("  {} not read", counted(model.skipped as usize, "line"));
    }
    line + "  ! down ~ late ? never"
}

/// Where the columns of the table are.
struct Columns {
    name: usize,
    /// Address and traffic.
    is_wide: bool,
}

impl Columns {
    fn of(columns: usize) -> Self {
        match columns {
            0..120 => Self { name: 11, is_wide: false },
            _ => Self { name: 24, is_wide: true },
        }
    }

    fn head(&self) -> String {
        let name = padded("PEER", self.name);
        let mut line = format!(
            "  {name} {:<8} {:<14} {:>5} {:>5} {:>5} {:>5} {:>4} {:<13}",
            "STATE", "SILENT / LIMIT", "BEAT", "RTT", "LATE", "QUEUE", "LOST", "LAST LOSS"
        );
        if self.is_wide {
            line += &format!(" {:>7} {:<21}", "IN/S", "ADDRESS");
        }
        line
    }

    fn row(&self, name: &str, peer: &PeerRow, now: Duration, is_chosen: bool) -> String {
        let mark = match peer.state {
            State::Up => ' ',
            State::Late => '~',
            State::Down => '!',
            State::Never => '?',
        };
        let arrow = if is_chosen { '>' } else { ' ' };
        let name = padded(&Escaped(name).to_string(), self.name);
        let numbers = &peer.numbers;
        let or_dash = |time: Option<Duration>| time.map_or("-".to_owned(), span);
        let middle = match peer.silence_at(now) {
            Some(silence) => format!(
                "{:<14} {:>5} {:>5} {:>5} {:>5}",
                silence_bar(silence, numbers.limit),
                or_dash(numbers.beat),
                or_dash(numbers.round_trip),
                or_dash(numbers.peer_lateness.map(|late| late[1])),
                amount(numbers.queued_bytes as f64),
            ),
            None => padded(&Escaped(&peer.dialling).to_string(), 38),
        };
        let state = state(peer, now);
        let last = cut(&Escaped(&peer.last_loss).to_string(), 13);
        let lost = amount(peer.losses() as f64);
        let mut line = format!("{mark}{arrow}{name} {state:<8} {middle} {lost:>4} {last:<13}");
        if self.is_wide {
            let addr = Escaped(&peer.addr).to_string();
            line += &format!(" {:>7} {addr:<21}", amount(peer.rates.messages_in));
        }
        line
    }
}

/// The state in a word, with how long it has been so.
pub(crate) fn state(peer: &PeerRow, now: Duration) -> String {
    let since = now.saturating_sub(peer.since);
    let since = if since.as_secs() < 10 { format!("{}s", since.as_secs()) } else { span(since) };
    match peer.state {
        State::Never => "never up".to_owned(),
        State::Up => format!("up {since}"),
        State::Late => "late".to_owned(),
        State::Down => format!("down {since}"),
    }
}

/// `1.31 ###- 1.50`: how much of the limit the silence has used.
fn silence_bar(silence: Duration, limit: Option<Duration>) -> String {
    let seconds = |time: Duration| match time.as_secs() {
        0..10 => format!("{}.{:02}", time.as_secs(), time.subsec_millis() / 10),
        10..100 => format!("{}.{}", time.as_secs(), time.subsec_millis() / 100),
        seconds => seconds.to_string(),
    };
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else {
        return format!("{} no limit", seconds(silence));
    };
    let part = (silence.as_secs_f64() / limit.as_secs_f64()).min(1.0);
    let full = (part * BAR as f64) as usize;
    let bar = "#".repeat(full) + &"-".repeat(BAR - full);
    format!("{:>4} {bar} {}", seconds(silence), seconds(limit))
}

/// In red or yellow, if there are colours.
pub(crate) fn painted(line: String, state: State, colours: bool) -> String {
    let code = match state {
        State::Down => "31",
        State::Late => "33",
        State::Never => "2",
        State::Up => return line,
    };
    if colours { format!("\x1b[{code}m{line}\x1b[0m") } else { line }
}

/// Text of exactly so many columns, or longer if `columns` is 0.
fn padded(text: &str, columns: usize) -> String {
    if columns == 0 {
        return text.to_owned();
    }
    format!("{:columns$}", cut(text, columns))
}

/// Text of at most so many columns; a colour around it takes none.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.starts_with('\x1b') || text.chars().count() <= columns {
        return text.trim_end_matches(' ').to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "~"
}

/// `13:42:37.084`
pub(crate) fn time_of_day(at: Duration) -> String {
    clock::written(UNIX_EPOCH + at)[11..23].to_owned()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

const EVENTS_SHOWN: usize = 6;
/// Columns of the bar.
const BAR: usize = 4;
