//! `top`: all peers at a glance, worst first.
//!
//! Records come from a [`Source`], are added up in a [`Model`] and drawn as a frame, once a second
//! and after every key. This thread does all of it; the source's threads only hand lines on.

mod detail;
mod frame;
pub(crate) mod model;
mod source;
mod terminal;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::args::{TopOptions, TopSource};
use crate::output::{self, complain};
use crate::{FAILED, WRONG_USAGE, signals};
use frame::{Size, View};
use model::{Model, State};
use source::Source;
use terminal::{Key, Terminal};

/// Shows the peers until it is asked to end.
pub(crate) fn top(options: &TopOptions) -> ExitCode {
    let ends_at_end = options.once || options.report;
    let source = match &options.source {
        TopSource::Node(file) => match options.config.load(file) {
            Ok(config) => Source::node(config),
            Err(errors) => {
                complain(&errors);
                return ExitCode::from(WRONG_USAGE);
            }
        },
        TopSource::Stdin => Source::stdin(),
        TopSource::Journal(file) => Source::file(file, !ends_at_end),
    };
    signals::catch();
    match source {
        Ok(source) => Top::new(options, source).run(),
        Err(error) => {
            complain(&format_args!("peerbeat top: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

struct Top<'a> {
    options: &'a TopOptions,
    source: Source,
    model: Model,
    view: View,
    /// The journal has ended.
    has_ended: bool,
    /// When the numbers of all peers were asked for last.
    asked: Option<Instant>,
}

impl<'a> Top<'a> {
    fn new(options: &'a TopOptions, source: Source) -> Self {
        let mut model = Model::default();
        if let Some((node, _)) = &source.node {
            node.config().name().clone_into(&mut model.node);
            node.peers().iter().for_each(|peer| model.add_peer(peer.name()));
        }
        Self { options, source, model, view: View::default(), has_ended: false, asked: None }
    }

    fn run(mut self) -> ExitCode {
        let code = match self.options.once || self.options.report {
            true => self.print_once(),
            false => self.watch(),
        };
        if let Some((node, _)) = &self.source.node {
            node.shutdown();
            node.join();
        }
        code
    }

    /// Takes all there is, and prints one frame of everything.
    fn print_once(&mut self) -> ExitCode {
        let until = Instant::now() + self.options.wait;
        while !self.has_ended && !signals::is_asked() {
            let is_live = self.source.node.is_some();
            let is_up = is_live && self.model.peers.values().all(|peer| peer.state == State::Up);
            if is_live && (is_up || Instant::now() >= until) {
                self.ask_all();
                self.take_waiting();
                break;
            }
            self.take(Instant::now() + Duration::from_millis(50));
        }
        let now = self.now();
        // As many lines as it takes; a report has no events.
        let lines = self.model.peers.len() + self.model.events.len() + 32;
        let size = Size { columns: self.options.columns, lines };
        let mut lines = frame::frame(&self.model, &mut self.view, size, now);
        lines.pop();
        if self.options.report {
            lines.extend(detail::totals(&self.model));
        }
        let text: String = lines.iter().map(|line| format!("{}\n", line.trim_end())).collect();
        let is_well = self.model.peers.values().all(|peer| is_well(peer.state));
        let done = if is_well || !self.options.once { 0 } else { FAILED };
        output::exit_code(output::write(&text), ExitCode::from(done))
    }

    fn watch(&mut self) -> ExitCode {
        let mut terminal = Terminal::open(true);
        self.view.has_keys = terminal.keys().is_some();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.view.colours = terminal.is_terminal() && !no_color;
        let mut next = Instant::now();
        loop {
            if signals::is_asked() || !self.press_keys(&mut terminal) {
                break;
            }
            let now = Instant::now();
            if now >= next {
                next = now + self.options.every;
                terminal.look();
                self.ask(terminal.size());
                self.take_waiting();
                if !self.view.is_paused {
                    if let Err(error) = self.draw(&mut terminal) {
                        return output::exit_code(Err(error), ExitCode::SUCCESS);
                    }
                }
                if self.has_ended {
                    break;
                }
            }
            self.take(next.min(Instant::now() + KEYS_EVERY));
        }
        self.view.has_keys = false;
        let _ = self.draw(&mut terminal);
        ExitCode::SUCCESS
    }

    fn draw(&mut self, terminal: &mut Terminal) -> std::io::Result<()> {
        let (size, now) = (terminal.size(), self.now());
        let one = self.view.one_peer.as_ref();
        let chosen = one.and_then(|name| self.model.peers.get_key_value(name));
        let lines = match chosen {
            Some((name, peer)) => {
                let look = (self.view.colours, self.view.has_keys);
                detail::frame(&self.model, name, peer, size, now, look)
            }
            None => frame::frame(&self.model, &mut self.view, size, now),
        };
        terminal.draw(&lines)
    }

    /// Does what the keys ask for, and draws if they did; returns whether to go on.
    fn press_keys(&mut self, terminal: &mut Terminal) -> bool {
        let mut is_changed = false;
        while let Some(key) = terminal.keys().and_then(|keys| keys.try_recv().ok()) {
            let page = terminal.size().lines / 2;
            let listed = frame::listed(&self.model, &self.view, self.now());
            let names: Vec<String> = listed.into_iter().map(|(name, _)| name.clone()).collect();
            if !self.view.press(key, page, &names) {
                return false;
            }
            is_changed = true;
        }
        !is_changed || self.draw(terminal).is_ok()
    }

    /// The time of the picture: that of the wall while records come, else that of the last one.
    fn now(&self) -> Duration {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_live = self.source.node.is_some()
            || !self.has_ended && wall.saturating_sub(self.model.last) < LIVE_MAX;
        if is_live { wall } else { self.model.last }
    }

    /// Asks the node for the numbers of those that are shown, and now and then for all.
    fn ask(&mut self, size: Size) {
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_ALL_EVERY) {
            return self.ask_all();
        }
        let Some((node, journal)) = &self.source.node else { return };
        let listed = frame::listed(&self.model, &self.view, self.now());
        for (name, _) in listed.iter().skip(self.view.first).take(size.lines) {
            if let Some(peer) = node.peer(name) {
                journal.stats(&peer);
            }
        }
    }

    fn ask_all(&mut self) {
        self.asked = Some(Instant::now());
        if let Some((node, journal)) = &self.source.node {
            node.peers().iter().for_each(|peer| journal.stats(peer));
        }
    }

    /// Takes lines until `until`.
    fn take(&mut self, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.source.lines.recv_timeout(left) {
                Ok(line) => self.model.handle_line(&line),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.has_ended = true;
                    return;
                }
            }
            if left.is_zero() {
                return;
            }
        }
    }

    /// Takes what has come already.
    fn take_waiting(&mut self) {
        for _ in 0..TAKE_MAX {
            match self.source.lines.try_recv() {
                Ok(line) => self.model.handle_line(&line),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.has_ended = true;
                    return;
                }
            }
        }
    }
}

impl View {
    /// Does what a key asks for; returns whether to go on.
    fn press(&mut self, key: Key, page: usize, names: &[String]) -> bool {
        if self.is_typing {
            match key {
                Key::Char(c) if self.find.len() < FIND_MAX => self.find.push(c),
                Key::Erase => drop(self.find.pop()),
                Key::Enter => self.is_typing = false,
                Key::Escape => {
                    self.is_typing = false;
                    self.find.clear();
                }
                Key::Interrupt => return false,
                _ => {}
            }
            return true;
        }
        let last = names.len().saturating_sub(1);
        let before = names.get(self.chosen);
        match key {
            Key::Char('q') | Key::Interrupt => return false,
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('d') => self.down_only = !self.down_only,
            Key::Char('p') => self.is_paused = !self.is_paused,
            Key::Char('/') if self.one_peer.is_none() => {
                self.is_typing = true;
                self.find.clear();
            }
            Key::Enter | Key::Char('x') | Key::Escape if self.one_peer.is_some() => {
                self.one_peer = None;
            }
            Key::Enter | Key::Char('x') => self.one_peer = names.get(self.chosen).cloned(),
            Key::Escape => self.find.clear(),
            Key::Up | Key::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            Key::Down | Key::Char('j') => self.chosen = (self.chosen + 1).min(last),
            Key::PageUp => self.chosen = self.chosen.saturating_sub(page),
            Key::PageDown => self.chosen = (self.chosen + page).min(last),
            Key::Home => self.chosen = 0,
            Key::End => self.chosen = last,
            _ => {}
        }
        // Another one of those in detail, if the cursor has moved.
        if self.one_peer.is_some() && names.get(self.chosen) != before {
            self.one_peer = names.get(self.chosen).cloned();
        }
        true
    }
}

/// Whether a state is good for a monitor.
fn is_well(state: State) -> bool {
    matches!(state, State::Up | State::Late)
}

/// How soon a key is obeyed.
const KEYS_EVERY: Duration = Duration::from_millis(50);
/// A journal whose last record is older is one of the past.
const LIVE_MAX: Duration = Duration::from_secs(30);
const ASK_ALL_EVERY: Duration = Duration::from_secs(5);
/// Lines between two pictures.
const TAKE_MAX: usize = 200_000;
const FIND_MAX: usize = 64;
