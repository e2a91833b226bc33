"""Reads event files of TensorBoard: the records are read and checked here, and an event is what tensorboardX says."""

from __future__ import annotations

import struct
from typing import NamedTuple

POLYNOMIAL = 0x82F63B78  # of CRC-32C (Castagnoli), reflected


class Point(NamedTuple):
    """A value of an event file."""

    tag: str
    step: int
    value: object  # a number, or a text


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events_in(folder):
    """Return the events of all files of a folder, the oldest file first, after checking every record."""
    from tensorboardX.proto.event_pb2 import Event

    events = []
    for file in sorted(folder.glob("*tfevents*")):
        written = file.read_bytes()
        while written:
            length, check = struct.unpack("<QI", written[:12])
            data, written = written[12 : 12 + length], written[12:]
            assert masked(struct.pack("<Q", length)) == check, file
            assert masked(data) == struct.unpack("<I", written[length : length + 4])[0], file
            events.append(Event.FromString(data))
            written = written[length + 4 :]
    return events


def points_in(folder):
    """Return the points of all files of a folder."""
    return [
        Point(value.tag, event.step, value.tensor.string_val[0].decode() if "text" in value.tag else value.simple_value)
        for event in events_in(folder)
        for value in event.summary.value
    ]
