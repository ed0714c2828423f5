"""peerbeat from Python, through its C interface: nodes, links, listeners, events, numbers.

    peerbeat.load("libpeerbeat.so", "peerbeat.h")
    with peerbeat.Node(open("hub.conf").read()) as node:
        for event in node.events():
            print(event.line)

The library is a cdylib of the crate with feature capi. Structs, enums and constants are read from the
header, so that they cannot differ from it. Every call lets other Python threads run meanwhile.
"""
import ctypes as c
import re
from types import SimpleNamespace

TYPES = {"uint16_t": c.c_uint16, "uint32_t": c.c_uint32, "int32_t": c.c_int32, "int64_t": c.c_int64,
         "uint64_t": c.c_uint64, "int": c.c_int, "size_t": c.c_size_t, "char": c.c_char}
lib, const, structs = None, {}, {}


class Error(Exception):
    """A call that failed: `code`, and the library's words."""

    def __init__(self, code):
        details = c.create_string_buffer(512)
        lib.peerbeat_last_error(details, len(details))
        words = lib.peerbeat_strerror(code).decode()
        super().__init__(f"{words}: {details.value.decode()}" if details.value else words)
        self.code = code


def load(library, header):
    """Loads the shared library, and its header's structs and constants."""
    global lib
    text = re.sub(r"/\*.*?\*/", "", open(header, encoding="utf-8").read(), flags=re.S)
    const.update((n, int(v)) for n, v in re.findall(r"\b(PEERBEAT_\w+)(?: =|\s+)\s*\(?(-?\d+)\)?", text))
    for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", text, flags=re.S):
        structs[name] = type(name, (c.Structure,), {"_fields_": list(map(field, fields(body)))})
    lib = c.CDLL(library)
    for name in re.findall(r"\b(peerbeat_\w+)\(", text):
        result = re.search(r"([\w ]+?)\s*(\*?)\b" + name + r"\(", text)
        restype = result[1].split()[-1]
        if hasattr(lib, name):
            pointer = c.c_char_p if restype == "char" else c.c_void_p
            getattr(lib, name).restype = pointer if result[2] else TYPES.get(restype)
    if lib.peerbeat_abi_version() != const["PEERBEAT_ABI_VERSION"]:
        raise ImportError(f"{library} is of another ABI than {header}")


def fields(body):
    return [line.strip() for line in re.sub(r"\s+", " ", body).split(";") if line.strip()]


def field(text):
    if "(*" in text:
        return re.search(r"\(\*(\w+)\)", text)[1], c.c_void_p
    kind, star, name, _, count = re.match(r"(?:const )?(\w+) (\*?)(\w+)(\[(\d+)\])?$", text).groups()
    if star:
        return name, c.c_char_p if kind == "char" else c.c_void_p
    return name, TYPES[kind] * int(count) if count else TYPES[kind]


def made(name, **values):
    struct = structs[name]()
    if name == "peerbeat_options":
        check(lib.peerbeat_options_init(c.byref(struct), c.sizeof(struct)))
    elif hasattr(struct, "struct_size"):
        struct.struct_size = c.sizeof(struct)
    for key, value in values.items():
        setattr(struct, key, value.encode() if isinstance(value, str) else value)
    return struct


def plain(struct):
    """A struct as Python values: texts as str, arrays as lists."""
    def value(found):
        if isinstance(found, bytes):
            return found.decode()
        return list(found) if isinstance(found, c.Array) else found
    return SimpleNamespace(**{name: value(getattr(struct, name)) for name, _ in struct._fields_})


def check(code):
    if code < 0:
        raise Error(code)
    return code


def wait(seconds):
    return -1 if seconds is None else int(seconds * 1000)


class Handle:
    """Something that belongs to the library, freed at the end of `with`."""

    def __init__(self, pointer):
        self.pointer = pointer

    def call(self, function, *arguments):
        return check(getattr(lib, f"peerbeat_{self.kind}_{function}")(self.pointer, *arguments))

    def fill(self, struct, function, *arguments):
        struct = made(struct)
        self.call(function, *arguments, c.byref(struct))
        return plain(struct)

    def port(self):
        port = c.c_uint16()
        self.call("port", c.byref(port))
        return port.value

    def event_fd(self):
        fd = c.c_int()
        self.call("event_fd", c.byref(fd))
        return fd.value

    def free(self):
        pointer, self.pointer = self.pointer, None
        check(getattr(lib, f"peerbeat_{self.kind}_free")(pointer))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pointer:
            self.free()


class Node(Handle):
    """The node of a configuration; what happens waits in `events`."""
    kind = "node"

    def __init__(self, text, app_name=None):
        config, node = c.c_void_p(), c.c_void_p()
        code = lib.peerbeat_config_parse(text.encode(), app_name and app_name.encode(), c.byref(config))
        if code == const["PEERBEAT_E_CONFIG"]:
            count = lib.peerbeat_config_error_count()
            raise ValueError("\n".join(lib.peerbeat_config_error(n).decode() for n in range(count)))
        check(code)
        code = lib.peerbeat_node_start(config, None, c.byref(node))
        lib.peerbeat_config_free.argtypes = [c.c_void_p]
        lib.peerbeat_config_free(config)
        check(code)
        super().__init__(node)

    def send(self, peer, data):
        self.call("send", peer.encode(), data, c.c_size_t(len(data)))

    def wait_up(self, peer=None, timeout=None):
        self.call("wait_up", peer and peer.encode(), wait(timeout))

    def next_event(self, timeout=None):
        """The next event or message; None if none came in time; raises EOFError behind the last."""
        event = made("peerbeat_event")
        code = lib.peerbeat_node_next_event(self.pointer, c.byref(event), wait(timeout))
        if code == const["PEERBEAT_E_DOWN"]:
            raise EOFError
        if code == const["PEERBEAT_E_TIMEOUT"]:
            return None
        check(code)
        found = plain(event)
        found.word = lib.peerbeat_event_word(event.kind).decode()
        found.data = c.string_at(event.data, event.data_len) if event.data else b""
        return found

    def events(self):
        try:
            while True:
                yield self.next_event()
        except EOFError:
            return

    def stats(self, peer=None):
        return self.fill("peerbeat_stats", "stats", peer and peer.encode())

    def totals(self, peer=None):
        return self.fill("peerbeat_totals", "totals", peer and peer.encode())

    def state(self, peer):
        return self.fill("peerbeat_state", "state", peer.encode())

    def shutdown(self):
        self.call("shutdown")


class Link(Handle):
    kind = "link"

    @classmethod
    def connect(cls, host, port, **options):
        link, options = c.c_void_p(), made("peerbeat_options", **options)
        check(lib.peerbeat_link_connect(host.encode(), c.c_uint16(port), c.byref(options), c.byref(link)))
        return cls(link)

    def remote_name(self):
        return lib.peerbeat_link_remote_name(self.pointer).decode()

    def send(self, data):
        self.call("send", data, c.c_size_t(len(data)))

    def recv(self, timeout=None):
        """The next message; None if none came in time; raises EOFError when the link has ended."""
        data, length = c.c_void_p(), c.c_size_t()
        code = lib.peerbeat_link_recv_borrow(self.pointer, c.byref(data), c.byref(length), wait(timeout))
        if code == const["PEERBEAT_E_TIMEOUT"]:
            return None
        if code == const["PEERBEAT_E_DOWN"]:
            raise EOFError(self.state().detail)
        check(code)
        try:
            return c.string_at(data, length.value)
        finally:
            self.call("release")

    def state(self):
        return self.fill("peerbeat_state", "state")

    def stats(self):
        return self.fill("peerbeat_stats", "stats")

    def set_heartbeat_time(self, ms):
        self.call("set_heartbeat_time", c.c_uint32(ms))

    def shutdown(self):
        self.call("shutdown")


class Listener(Handle):
    kind = "listener"

    def __init__(self, host="127.0.0.1", port=0):
        listener = c.c_void_p()
        check(lib.peerbeat_listener_open(host.encode(), c.c_uint16(port), c.byref(listener)))
        super().__init__(listener)

    def accept(self, timeout=None, **options):
        link, options = c.c_void_p(), made("peerbeat_options", **options)
        self.call("accept", c.byref(options), wait(timeout), c.byref(link))
        return Link(link)
