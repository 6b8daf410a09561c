"""A program that does whatever it is asked to: `do` is Python, and `said` is what came of it."""

import json
import os
import socket
import struct

node = socket.socket(fileno=os.dup(0))
os.dup2(os.open("/dev/null", os.O_RDONLY), 0)


def read(count):
    data = bytearray()
    while len(data) < count:
        part = node.recv(min(count - len(data), 1 << 20))
        if not part:
            os._exit(0)
        data += part
    return bytes(data)


def receive():
    _, _, head, number, body = struct.unpack("<4sB3xIIQ", read(24))
    return number, json.loads(read(head)), read(body)


def send(kind, number, head, body=b""):
    head = json.dumps(head).encode()
    head += b" " * (-len(head) % 8)
    node.sendall(struct.pack("<4sB3xIIQ", b"BTG1", kind, len(head), number, len(body)) + head + body)


number, load, _ = receive()
exec(load["first"])
spec = lambda name: {"name": name, "datatype": "BYTES", "shape": [-1]}
send(2, number, {"signature": {"inputs": [spec("do")], "outputs": [spec("said")]}})
while True:
    number, _, body = receive()
    try:
        said = str(eval(body[4:].decode())).encode()
    except Exception as error:
        send(5, number, {"kind": "failed", "message": f"{type(error).__name__}: {error}"})
        continue
    said_tensor = {"name": "said", "datatype": "BYTES", "shape": [1], "bytes": 4 + len(said)}
    send(4, number, {"tensors": [said_tensor]}, struct.pack("<I", len(said)) + said)
