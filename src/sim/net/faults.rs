//! Applies the operations of a script to a net.
//!
//! Faults act on paths, kernels and processes, never on an end's rules: how a link takes them is
//! for the code under test to show.

use super::core::{Alarm, Core, Process};
use crate::connection::DownReason;
use crate::protocol::{Bye, ByeCode};
use crate::sim::wire::Piece;
use crate::sim::{Host, Op, SimEvent};

impl Core {
    /// Does `op` now.
    pub(in crate::sim) fn apply(&mut self, op: Op) {
        self.links.iter_mut().for_each(|link| link.touched = [true; 2]);
        match op {
            Op::Cut { a, b } => self.set_cut(a, b, true, true),
            Op::CutOneWay { from, to } => self.set_cut(from, to, true, false),
            Op::Heal { a, b } => self.set_cut(a, b, false, true),
            Op::Conditions { from, to, conditions } => {
                let path = self.path(from, to);
                self.paths[path].conditions = conditions;
            }
            Op::Corrupt { from, to } => {
                let path = self.path(from, to);
                self.paths[path].corrupts = true;
            }
            Op::Reset { a, b } => self.reset(a, b),
            Op::Stop { host } => self.change_process(host, Process::Runs, Process::Stopped),
            Op::Resume { host } => self.change_process(host, Process::Stopped, Process::Runs),
            Op::SlowReader { host, each } => {
                self.hosts[host.0].options.message_time = each;
                let now = self.now;
                for end in self.links.iter_mut().flat_map(|link| &mut link.ends) {
                    if end.host == host {
                        end.set_message_time(each, now);
                    }
                }
            }
            Op::Kill { host } => self.end_process(host, Process::Dead),
            Op::PowerOff { host } => self.end_process(host, Process::Off),
            Op::Start { host } => self.start_process(host),
            Op::Refuse { host, refuses } => self.hosts[host.0].refuses = refuses,
            Op::Resolver { host, hangs } => {
                self.hosts[host.0].hangs = hangs;
                self.ready.push(host);
            }
            Op::Connect { from, to } => drop(self.connect(from, to)),
            Op::Close { from, to } => self.close(from, to),
            Op::Drain { from, to } => self.drain(from, to),
            Op::End { from, to } => self.end(from, to),
            Op::SetHeartbeatTime { from, to, value } => {
                drop(self.set_heartbeat_time(from, to, value));
            }
            Op::SetSlack { from, to, slack } => drop(self.set_slack(from, to, slack)),
            Op::Send { from, to, size, times, every } => {
                let _refused = self.send(from, to, &vec![times as u8; size]);
                if times > 1 {
                    let times = times - 1;
                    self.at(self.now + every, Op::Send { from, to, size, times, every });
                }
            }
        }
    }

    /// The program of `from` ends its link to `to` with a goodbye and no more.
    fn end(&mut self, from: Host, to: Host) {
        let found = self.find(from, to).filter(|_| self.runs(from));
        if let Some((link, which)) = found {
            let reason = DownReason::Local { detail: "ended by its program".to_owned() };
            let bye = Bye { code: ByeCode::CLOSE, text: "" };
            self.with_end(link, which, |end, world| end.end_for(world, reason, Some(&bye)));
        }
    }

    fn reset(&mut self, a: Host, b: Host) {
        for link in &mut self.links {
            if link.ends.iter().all(|end| end.host == a || end.host == b) {
                for pipe in &mut link.pipes {
                    pipe.destroy();
                    pipe.arrived.push_back(Piece::Reset);
                }
            }
        }
    }

    fn set_cut(&mut self, a: Host, b: Host, cut: bool, both: bool) {
        for (from, to) in [(a, b), (b, a)].into_iter().take(1 + usize::from(both)) {
            let path = self.path(from, to);
            let healed = std::mem::replace(&mut self.paths[path].is_cut, cut) && !cut;
            for pipe in self.links.iter_mut().flat_map(|link| &mut link.pipes) {
                if healed && pipe.path == path {
                    pipe.handle_healed(&self.paths[path], self.now);
                } else if healed {
                    // The other direction's acknowledgements travel here.
                    let back = &self.paths[pipe.path];
                    pipe.handle_read(0, !(back.from == to.0 && back.to == from.0));
                }
            }
        }
    }

    fn change_process(&mut self, host: Host, from: Process, to: Process) {
        if self.hosts[host.0].process == from {
            self.hosts[host.0].process = to;
            let stops = to == Process::Stopped;
            self.tell(host, None, if stops { SimEvent::Stopped } else { SimEvent::Resumed });
        }
    }

    fn end_process(&mut self, host: Host, process: Process) {
        if !matches!(self.hosts[host.0].process, Process::Runs | Process::Stopped) {
            return;
        }
        self.hosts[host.0].process = process;
        self.hosts[host.0].alarms.clear();
        self.died.push(host);
        for link in 0..self.links.len() {
            for which in [0, 1] {
                if self.links[link].ends[which].host == host {
                    self.with_end(link, which, |end, world| {
                        end.die(world, process == Process::Dead);
                    });
                }
            }
        }
        self.tell(host, None, SimEvent::Died);
    }

    fn start_process(&mut self, host: Host) {
        let machine = &mut self.hosts[host.0];
        if matches!(machine.process, Process::Runs | Process::Stopped) {
            return;
        }
        machine.process = Process::Runs;
        if let Some(pause) = machine.options.redial {
            let dials = machine.dials.iter().map(|peer| (self.now + pause, Alarm::Dial(*peer)));
            machine.alarms.extend(dials);
        }
        self.tell(host, None, SimEvent::Started);
    }

    pub(super) fn reset_pipe(&mut self, link: usize, from: usize) {
        let pipe = &mut self.links[link].pipes[from];
        let path = &mut self.paths[pipe.path];
        pipe.reset(path, &mut self.rng, self.now);
    }
}
