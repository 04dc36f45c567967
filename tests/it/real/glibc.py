"""Tells how glibc reads resolv.conf and hosts: one JSON document a line in, {"resolv_conf": hex} or {"hosts": hex, "names": [...]}, and one
out. The files are those of the folder in the first argument, which becomes the root of this process."""

import ctypes
import json
import os
import socket
import struct
import sys

# All code is loaded before the root changes.
resolv = ctypes.CDLL("libresolv.so.2")
socket.getaddrinfo("localhost", None)
state = ctypes.create_string_buffer(4096)
# Offsets in `struct __res_state` of a 64-bit system, see <resolv.h>.
NSCOUNT, NSADDR_LIST, NSADDRS = 16, 20, 536


def name_servers():
    if resolv.__res_ninit(state) != 0:
        return None
    servers = []
    for index in range(struct.unpack_from("i", state, NSCOUNT)[0]):
        begin = NSADDR_LIST + 16 * index
        if struct.unpack_from("H", state, begin)[0] == socket.AF_INET:
            servers.append([socket.inet_ntoa(state[begin + 4 : begin + 8]), 0])
            continue
        address = ctypes.string_at(struct.unpack_from("P", state, NSADDRS + 8 * index)[0], 28)
        servers.append([socket.inet_ntop(socket.AF_INET6, address[8:24]), struct.unpack_from("I", address, 24)[0]])
    resolv.__res_nclose(state)
    return servers


def addresses(name):
    try:
        # As bytes: Python takes other texts for international names.
        found = socket.getaddrinfo(name.encode(), None, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({address[4][0] for address in found})


def write(path, contents):
    with open(path, "wb") as file:
        file.write(bytes.fromhex(contents))


os.chroot(sys.argv[1])
os.chdir("/")
for line in sys.stdin:
    case = json.loads(line)
    if "hosts" in case:
        write("/etc/hosts", case["hosts"])
        answer = {name: addresses(name) for name in case["names"]}
    else:
        write("/etc/resolv.conf", case["resolv_conf"])
        answer = name_servers()
    print(json.dumps(answer), flush=True)
