"""
A packet switch between network namespaces: a TUN device in each, and this process that carries IPv4 packets between them, with
a rule for each direction of each pair. A stand-in for netem, which not every kernel has.

    switch.py SEED NAMESPACE=ADDRESS ...

It is told on standard input, a line each, and answers each with a line:

    rule FROM TO CUT DELAY_MS JITTER_MS LOSS_PERCENT     FROM and TO are places in the argument list, from 0
    quit

Where there is jitter, packets overtake each other. At the end of its input it ends too, and removes the namespaces.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
DEVICE = b"mesh0"
LARGEST = 65536


def open_tun(libc, namespace):
    handle = os.open("/run/netns/" + namespace, os.O_RDONLY)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns " + namespace)
    os.close(handle)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", DEVICE, IFF_TUN | IFF_NO_PI))
    return tun


def main():
    chance = random.Random(int(sys.argv[1]))
    places = [argument.split("=") for argument in sys.argv[2:]]
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    tuns = [open_tun(libc, name) for name, _ in places]
    libc.setns(home, CLONE_NEWNET)
    by_address = {socket.inet_aton(address): place for place, (_, address) in enumerate(places)}
    by_tun = {tun: place for place, tun in enumerate(tuns)}
    rules = {}  # (from, to) -> (cut, delay s, jitter s, loss); no entry: at once
    waiting = []
    number = 0
    poll = select.epoll()
    for tun in tuns:
        poll.register(tun, select.EPOLLIN)
    os.set_blocking(0, False)
    poll.register(0, select.EPOLLIN)
    said = b""
    print("ready", flush=True)

    def deliver(to, packet):
        try:
            os.write(tuns[to], packet)
        except OSError:
            pass  # the device is down, or its queue is full: lost

    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else -1
        for descriptor, _ in poll.poll(pause):
            if descriptor == 0:
                chunk = os.read(0, 4096)
                if chunk == b"":
                    return places
                said += chunk
                *lines, said = said.split(b"\n")
                for line in lines:
                    words = line.split()
                    if words[0] == b"quit":
                        return places
                    rule = (words[3] == b"1", float(words[4]) / 1000, float(words[5]) / 1000, float(words[6]) / 100)
                    pair = (int(words[1]), int(words[2]))
                    if rule == (False, 0, 0, 0):
                        rules.pop(pair, None)
                    else:
                        rules[pair] = rule
                    print("ok", flush=True)
                continue
            source = by_tun[descriptor]
            for _ in range(64):
                try:
                    packet = os.read(descriptor, LARGEST)
                except BlockingIOError:
                    break
                if packet[0] >> 4 != 4:
                    continue
                to = by_address.get(packet[16:20])
                if to is None:
                    continue
                rule = rules.get((source, to))
                if rule is None:
                    deliver(to, packet)
                    continue
                cut, delay, jitter, loss = rule
                if cut or (loss > 0 and chance.random() < loss):
                    continue
                number += 1
                due = time.monotonic() + max(0.0, delay + jitter * (2 * chance.random() - 1))
                heapq.heappush(waiting, (due, number, to, packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            deliver(to, packet)


def remove(places):
    for name, _ in places:
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one says when it ends
    try:
        main()
    finally:
        remove([argument.split("=") for argument in sys.argv[2:]])
