"""A telecontrol station of lib60870 (the package c104), until stdin ends: `port N`, then silence."""
import socket
import sys

import c104

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = c104.Server(ip="127.0.0.1", port=port)
station = server.add_station(common_address=1)
for number in range(20):
    point = station.add_point(io_address=100 + number, type=c104.Type.M_ME_NC_1)
    point.value = float(number)
server.start()
print("port", port, flush=True)
sys.stdin.readline()
