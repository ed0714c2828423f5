#!/usr/bin/env python3
"""A peer that shares no code with the crate: written from the page of `protocol`, whose rules it cites.

    peer.py listen PORT [OPTIONS]        accepts, any number of links at once
    peer.py dial HOST:PORT [OPTIONS]     one link, or with --again one after the other

It prints a line for everything that happens: up, value, data, down. --fault makes one mistake.
"""
import argparse, collections, select, socket, struct, sys, threading, time

HELLO, HEARTBEAT, DATA, BYE = 1, 2, 3, 4
FAULTS = {
    "eager-welcome": "S2: welcomes before HELLO is whole",
    "drip-extends": "S4: every byte begins the handshake's deadline again",
    "two-hellos": "S3: takes a second HELLO",
    "patient-length": "F1: waits for the bytes of any length",
    "unknown-kills": "F2: a type that it does not know is an error",
    "longer-kills": "F2: bytes after the known fields are an error",
    "mute-start": "H1: does not announce its value when the link is established",
    "mute-while-busy": "H1: announces a change only when a heartbeat is due anyway",
    "no-floor": "H2: takes any value, 1 ms too",
    "adopts-zero": "H2: takes 0 for a value: it has none any more",
    "adopts-greater": "H2: takes a greater value too",
    "early-beats": "H3: sends by half of the value in force",
    "late-beats": "H3: looks once in a heartbeat-time whether it has sent anything",
    "early-verdict": "H4: forgets the slack",
    "no-verdict": "H4: never looks at the silence",
    "whole-frames": "H4: only whole frames count as life",
    "bye-at-death": "H5: says goodbye to a silent peer",
    "deaf-to-bye": "H5: does not close after BYE",
    "probe-is-peer": "P3: takes a probe for a peer",
}


class Wrong(Exception):
    """The peer broke the protocol (F3); the code is that of the BYE (S6)."""

    def __init__(self, text, code=4):
        super().__init__(text)
        self.code = code


def frame(kind, payload=b""):
    return struct.pack(">IB", len(payload) + 1, kind) + payload


def hello(name, label, value, flags=0):
    name, label = name.encode(), label.encode()
    texts = bytes([len(name)]) + name + bytes([len(label)]) + label
    return frame(HELLO, b"PBHB\x01" + bytes([flags]) + bytes(4) + texts + struct.pack(">I", value))  # F4, F5


def decode(buffer, frame_max=16 << 20, fault=None):
    """The first frame of the buffer as (length, type, fields), or None until it is whole."""
    if len(buffer) < 4:
        return None
    length = struct.unpack(">I", buffer[:4])[0]
    if (length == 0 or length > max(frame_max, 1024)) and fault != "patient-length":  # F1
        raise Wrong(f"frame of length {length}")
    if len(buffer) >= 5 and buffer[4] == DATA and length > frame_max:  # F1
        raise Wrong(f"DATA of length {length}")
    if len(buffer) < 4 + length or length == 0:
        return None
    kind, payload = buffer[4], bytes(buffer[5:4 + length])
    reader = {HELLO: read_hello, HEARTBEAT: read_heartbeat, DATA: lambda data: data, BYE: read_bye}.get(kind)
    if reader is None and fault == "unknown-kills":
        raise Wrong(f"type {kind}")
    if kind == HEARTBEAT and fault == "longer-kills" and len(payload) not in (4, 28):
        raise Wrong("HEARTBEAT too long")
    return 4 + length, kind, reader(payload) if reader else None  # F2: a type not known is skipped


def need(payload, count):
    if len(payload) < count:
        raise Wrong(f"{len(payload)} payload bytes, needed {count}")  # F3


def text(raw):
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Wrong("text is not UTF-8") from None  # F3


def read_hello(payload):
    need(payload, 5)
    if payload[:4] != b"PBHB":
        raise Wrong("wrong magic")  # F3
    if payload[4] != 1:
        raise Wrong("another version", 3)  # S6: looked at before anything behind it
    need(payload, 11)
    flags, ident, at, texts = payload[5], struct.unpack(">I", payload[6:10])[0], 10, []
    for _ in ("name", "label"):
        need(payload, at + 1)
        end = at + 1 + payload[at]
        need(payload, end)
        texts.append(text(payload[at + 1:end]))
        at = end
    if not texts[0] or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in texts[0]):  # F4
        raise Wrong("not a name")
    value = struct.unpack(">I", payload[at:at + 4])[0] if len(payload) >= at + 4 else None  # F5
    return {"name": texts[0], "label": texts[1], "id": ident, "flags": flags, "value": value}


def read_heartbeat(payload):
    need(payload, 4)
    timing = struct.unpack(">QQQ", payload[4:28]) if len(payload) >= 28 else None  # F7
    return {"value": struct.unpack(">I", payload[:4])[0], "timing": timing}


def read_bye(payload):
    need(payload, 1)
    known = payload[1:256]  # F8: of a longer text the first 255 bytes, less a character that they cut
    for cut in range(4 if len(payload) > 256 else 1):
        try:
            return {"code": payload[0], "text": known[:len(known) - cut].decode()}
        except UnicodeDecodeError:
            pass
    raise Wrong("text of BYE is not UTF-8")


class Link:
    """One connection, from its first byte. Times are seconds of the monotonic clock, values ms."""

    def __init__(self, sock, options, dialled):
        self.sock, self.options, self.dialled, self.fault = sock, options, dialled, options.fault
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = self.read_at = self.sent_at = self.looked = now = time.monotonic()
        self.buffer, self.frames, self.writing = bytearray(), collections.deque(), b""
        self.value, self.before, self.heard = options.value, None, 0  # in force; promise until confirmed
        self.limit = self.write_limit = 0  # what the silence, and the pending write, are judged by
        self.peer, self.welcomed, self.announce, self.echo = None, dialled, False, (0, now)
        self.closing = self.ended = self.asked = self.announced = None
        self.dropped, (self.wake, self.woken), self.commands = 0, socket.socketpair(), collections.deque()
        if dialled:
            self.put(hello(options.name, options.label, self.value))  # S1

    def command(self, line):
        self.commands.append(line)
        self.wake.send(b"!")

    def obey(self, line):
        word, _, rest = line.partition(" ")
        if word == "send":
            self.put(frame(DATA, rest.encode()))
        elif word == "value":  # H4: a value lowered here binds the peer once it has announced as much
            self.before = self.value if self.before is None else self.before
            self.change(lambda: (setattr(self, "value", int(rest)), self.confirm()))
        elif word in ("close", "drain"):
            self.close(word)

    # What goes out

    def is_busy(self):
        return bool(self.frames or self.writing)

    def put(self, data):
        if not self.is_busy():
            self.pending_at, self.write_limit = time.monotonic(), self.now_limit()
        waiting = [frame[4] for frame in self.frames]
        # H6: a heartbeat overtakes DATA, and nothing else.
        overtakes = data[4] == HEARTBEAT and DATA in waiting
        self.frames.insert(waiting.index(DATA) if overtakes else len(waiting), data)

    def beat(self):
        now = time.monotonic()
        age = int((now - self.echo[1]) * 1e6) if self.echo[0] else 0
        payload = struct.pack(">IQQQ", self.value, int(now * 1e6), self.echo[0], age)  # F6, F7
        self.put(frame(HEARTBEAT, payload))

    def write(self):
        while self.is_busy():
            self.writing = self.writing or self.frames.popleft()
            try:
                taken = self.sock.send(self.writing)
            except BlockingIOError:
                return
            except OSError:  # H5: ends sending only
                self.frames.clear()
                self.writing = b""
                return
            self.writing, self.sent_at = self.writing[taken:], time.monotonic()
            self.pending_at, self.write_limit = self.sent_at, self.now_limit()
        if self.closing and not self.closing["shut"]:
            self.closing["shut"] = True
            self.shut(socket.SHUT_WR)

    def poll_beat(self, now):
        busy, value = self.is_busy(), self.value / 1000
        mute = self.fault == "mute-while-busy" and self.announced and now - self.sent_at < value
        if self.announce and not mute:  # H1
            self.announce, self.announced = False, True
            return self.beat()
        if not value or busy or self.closing:
            return
        if self.fault == "late-beats":
            if now - self.looked >= value:
                idle, self.looked = self.sent_at <= self.looked, now
                return self.beat() if idle else None
        elif now - self.sent_at >= value * (0.5 if self.fault == "early-beats" else 1):  # H3
            self.beat()

    # Values and limits

    def now_limit(self):
        slack = 0 if self.fault == "early-verdict" else self.options.slack
        promise = self.value if self.before is None else self.before or 10_000  # H4
        return (promise + slack) / 1000 if promise and self.peer else 0

    def change(self, change):
        """Changes something that limits depend on: one that grows or begins holds at once (H4)."""
        value, limit = self.value, self.now_limit()
        change()
        if not limit:
            self.read_at = time.monotonic()
        self.limit = max(self.limit, self.now_limit())
        self.write_limit = max(self.write_limit, self.now_limit())
        if self.value != value:
            self.announce = True  # H1
            self.tell("value", self.value)

    def confirm(self):
        if self.heard and self.heard <= self.value:
            self.before = None

    def adopt(self, value):
        def take():
            floor = 1 if self.fault == "no-floor" else self.options.floor
            raised = max(value, floor) if value else 0
            if not self.value or raised < self.value or self.fault == "adopts-greater":
                self.value = raised
            self.heard = value
            self.confirm()
        if value or self.fault == "adopts-zero":  # H2
            self.change(take)

    def hear(self):
        self.read_at, self.limit = time.monotonic(), self.now_limit()  # H4: one that shrank holds now

    # What came in

    def read(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            return self.end("io", error.strerror)
        if not data:
            return self.end("local" if self.closing else "eof")
        if self.fault != "whole-frames":
            self.hear()
        if self.fault == "drip-extends" and not self.peer:
            self.began = time.monotonic()
        if self.fault == "eager-welcome":
            self.welcome()
        self.buffer += data
        waiting = []
        while (whole := decode(self.buffer, fault=self.fault)) and not self.ended:
            del self.buffer[:whole[0]]
            if self.fault == "whole-frames":
                self.hear()
            if not self.peer:
                self.greet(*whole[1:])
            elif whole[1] == HEARTBEAT:  # H4: all of a read before its data is handed on
                self.take_heartbeat(whole[2])
            else:
                waiting.append(whole[1:])
            if whole[1] == BYE:
                break  # H5: nothing behind it is read
        self.limit = self.now_limit()  # H4: a value holds for the silence after the bytes that brought it
        for kind, fields in waiting:
            self.take(kind, fields)

    def welcome(self):
        if not self.welcomed:
            self.welcomed = True
            self.put(hello(self.options.name, self.options.label, self.options.value))  # S2, P1

    def greet(self, kind, fields):
        if kind == BYE and self.dialled:
            return self.end("refused", fields["code"], fields["text"])  # S3
        if kind != HELLO:
            raise Wrong(f"type {kind} where HELLO is allowed")  # S3
        probe = fields["flags"] & 2 and not self.dialled and self.fault != "probe-is-peer"
        known = not self.options.peers or fields["name"] in self.options.peers
        if not self.dialled and not known and not probe:
            raise Wrong("peer not known here", 1)  # S2
        self.welcome()
        self.peer = fields
        self.hear()
        if probe:
            self.asked = time.monotonic()  # P2
            return
        self.tell("up", fields["name"])
        if fields["value"]:  # F5, H2
            self.adopt(fields["value"])
        self.announce = self.value > 0 and self.fault != "mute-start"  # H1
        self.looked = self.sent_at = time.monotonic()

    def take_heartbeat(self, fields):
        if fields["timing"]:
            self.echo = (fields["timing"][0], time.monotonic())  # F7
        if self.asked:
            return self.answer()
        self.adopt(fields["value"])

    def answer(self):
        self.asked = None
        self.beat()  # P2
        self.close("close")

    def take(self, kind, fields):
        if kind == HELLO and self.fault != "two-hellos":
            raise Wrong("a second HELLO")  # S3
        if kind == BYE and self.fault != "deaf-to-bye":
            self.end("closed", fields["code"], fields["text"])  # H5
        if kind == DATA and self.closing and self.closing["kind"] == "close":
            self.dropped += 1  # H5
        elif kind == DATA:
            self.tell("data", fields.decode(errors="replace"))
            if self.options.echo and not self.closing:
                self.put(frame(DATA, fields))

    # Ends

    def close(self, kind):
        if not self.closing:
            self.closing = {"kind": kind, "at": time.monotonic(), "shut": False}
            self.put(frame(BYE, b"\0"))  # H5

    def shut(self, how):
        try:
            self.sock.shutdown(how)
        except OSError:
            pass

    def end(self, *why):
        if not self.ended:
            self.ended = why
            self.tell("down", *why, *([f"dropped {self.dropped}"] if self.dropped else []))

    def refuse(self, wrong):
        """S6: says why, and reads until the peer has read it."""
        self.end("protocol" if wrong.code != 1 else "stranger", wrong)
        self.sock.settimeout(0.5)
        try:
            self.sock.send(frame(BYE, bytes([wrong.code]) + str(wrong).encode()[:255]))
            self.shut(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
        except OSError:
            pass

    def look_at_the_clock(self, now):
        if not self.peer and now - self.began >= self.options.handshake / 1000:
            raise Wrong("handshake too slow", 5)  # S4
        if self.asked and now - self.asked >= 1:
            self.answer()  # P2
        if self.closing:
            since = now - max(self.sent_at, self.closing["at"])
            if since >= 2 or now - self.closing["at"] >= 30:
                self.end("local", "the peer did not close")  # H5
        elif self.fault != "no-verdict":
            if self.limit and now - self.read_at >= self.limit:
                if self.fault == "bye-at-death":
                    self.sock.send(frame(BYE, b"\0silent"))
                self.end("silent", round(1000 * (now - self.read_at)))  # H4, H5
            if self.is_busy() and self.write_limit and now - self.pending_at >= self.write_limit:
                self.end("write-stalled")  # H4

    def run(self):
        try:
            while not self.ended:
                wants = [self.sock] if self.is_busy() else []
                ready = select.select([self.sock, self.woken], wants, [], 0.005)
                if self.woken in ready[0]:
                    self.woken.recv(64)
                while self.commands:
                    self.obey(self.commands.popleft())
                if self.sock in ready[0]:  # before the clock
                    self.read()
                if not self.ended:
                    self.look_at_the_clock(time.monotonic())
                if self.peer and not self.ended and not self.asked:
                    self.poll_beat(time.monotonic())
                if not self.ended:
                    self.write()
        except Wrong as wrong:
            self.refuse(wrong)
        self.shut(socket.SHUT_RDWR)
        self.sock.close()

    def tell(self, *words):
        print(*words, flush=True)


def say(text):
    """As the file of vectors writes it: printable ASCII as it is, the rest of DATA as escapes."""
    short = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 39: "\\'", 92: "\\\\"}
    if isinstance(text, bytes):
        text = "".join(short.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in text)
    return f'"{text}"'


def describe(kind, fields):
    if kind == HELLO:
        value = "" if fields["value"] is None else f" heartbeat-time {fields['value']}"
        texts = f"name {say(fields['name'])} label {say(fields['label'])}"
        return f"HELLO flags {fields['flags'] & 3} id {fields['id']} {texts}{value}"
    if kind == HEARTBEAT:
        timing = "" if not fields["timing"] else " sent {} echo {} age {}".format(*fields["timing"])
        return f"HEARTBEAT {fields['value']}{timing}"
    if kind == DATA:
        return f"DATA {say(fields)}"
    return f"BYE {fields['code']} {say(fields['text'])}" if kind == BYE else f"skipped, type 0x{kind:02x}"


def vectors(path):
    """Holds this decoder to the file of vectors, whose refusals it may word as it likes."""
    lines = [line for line in open(path, encoding="utf-8").read().split("\n") if line and line[0] != "#"]
    wrong = 0
    for line, code in zip(lines[::2], lines[1::2]):
        kind, data = line.split()[0], bytes.fromhex(code)
        try:
            whole = decode(data)
            found = describe(*whole[1:]) if whole and whole[0] == len(data) else "no whole frame"
        except Wrong as refusal:
            found = f"refuse {refusal}"
        if found.split()[0] != "refuse" if kind == "refuse" else found != line.split(None, 1)[1]:
            print("wrong", line, "|", found)
            wrong += 1
    print(len(lines) // 2, "vectors,", wrong, "wrong")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["listen", "dial", "vectors"])
    parser.add_argument("address", help="a port of 127.0.0.1, 0 = any; HOST:PORT; the file of vectors")
    parser.add_argument("--name", default="python")
    parser.add_argument("--label", default="")
    parser.add_argument("--peers", type=lambda names: names.split(","), help="who may come; default: all")
    parser.add_argument("--value", type=int, default=0, help="heartbeat-time, ms, 0 = none")
    parser.add_argument("--slack", type=int, default=2000, help="ms")
    parser.add_argument("--floor", type=int, default=100, help="the least value taken from the peer, ms")
    parser.add_argument("--handshake", type=int, default=10_000, help="ms")
    parser.add_argument("--echo", action="store_true", help="send back what arrives")
    parser.add_argument("--again", action="store_true", help="dial again after an end")
    parser.add_argument("--fault", choices=FAULTS, help="one mistake")
    options, links = parser.parse_args(), []
    if options.role == "vectors":
        return vectors(options.address)

    def obey():
        for line in sys.stdin:
            while not links:
                time.sleep(0.01)
            links[-1].command(line.rstrip("\n"))

    threading.Thread(target=obey, daemon=True).start()
    if options.role == "dial":
        host, _, port = options.address.rpartition(":")
        while True:
            try:
                links.append(Link(socket.create_connection((host, int(port))), options, True))
                links[-1].run()
            except OSError as error:
                print("failed", error, flush=True)
            if not options.again:
                return
            time.sleep(0.05)
    listener = socket.create_server(("127.0.0.1", int(options.address)))
    print("listening", listener.getsockname()[1], flush=True)
    while True:
        links.append(Link(listener.accept()[0], options, False))
        threading.Thread(target=links[-1].run, daemon=True).start()


if __name__ == "__main__":
    main()
