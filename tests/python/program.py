"""A feed and a hub in Python, and a single link: what is printed is what the test expects."""
import select
import sys
import threading

import peerbeat

peerbeat.load(*sys.argv[1:])
hub = peerbeat.Node("datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port auto\n"
                    "add-peer\n remote-name feed\n heartbeat-time 0.5\nend-peer\n")
feed = peerbeat.Node("datasrc-name feed\nadd-peer\n remote-name hub\n addr 127.0.0.1\n"
                     f" port {hub.port()}\n heartbeat-time 0\nend-peer\n")
with hub, feed:
    feed.wait_up("hub", 30)
    for price in range(3):
        feed.send("hub", b"price %d" % price)
    while (event := hub.next_event(30)).word != "message" or event.data != b"price 2":
        print("hub", event.word, event.peer, event.data.decode())
    print("heartbeat-time", feed.state("hub").heartbeat_time_ms)
    print("received", hub.stats("feed").messages_received, "connects", hub.totals().connects)
    feed.shutdown()
    while (event := hub.next_event(30)).word != "down":
        pass
    print("down", event.reason_word, event.reason == peerbeat.const["PEERBEAT_DOWN_CLOSED"])
    print("readable", select.select([feed.event_fd()], [], [], 30)[0] != [])
    print("last", list(feed.events())[-1].word)
def dial(port):
    with peerbeat.Link.connect("127.0.0.1", port, local_name="left") as left:
        left.send(b"hello " + left.remote_name().encode())
        print("left", left.recv(30))


with peerbeat.Listener() as listener:
    threading.Thread(target=dial, args=[listener.port()]).start()
    with listener.accept(30, local_name="right") as right:
        print(right.remote_name(), right.recv(30), right.recv(0), right.stats().links)
        right.send(b"tock")
        try:
            right.recv(30)
        except EOFError as end:
            print("end:", end)
try:
    peerbeat.Node("datasrc-port 70000")
except ValueError as error:
    print("error", '"70000"' in str(error))
try:
    peerbeat.Link.connect("127.0.0.1", 1, connect_timeout_ms=1000)
except peerbeat.Error as error:
    print("refused", error.code == peerbeat.const["PEERBEAT_E_CONNECT"], "127.0.0.1:1" in str(error))
