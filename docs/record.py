#!/usr/bin/env python3
"""Records a terminal session into docs/session.svg: the commands below, run for real by bash in a terminal of its own,
with the release binary and a private redis-server.

usage: docs/record.py [SVG]

Needs python3 (its standard library), redis-server and redis-cli, and a built target/release/tailcast (or TAILCAST_BIN).
What the programs print is shown as it came; only pauses over a second are shortened.
"""
import html
import os
import pty
import re
import select
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS, ROW, GLYPH = 96, 19, 8.43
# What to type, and how long to let things happen before the next.
SESSION = [
    ("export REDIS_URL=redis://127.0.0.1:{port}", 0),
    ("touch app.log; tailcast watch --mode list app.log &", 0.5),
    ("tailcast generate --interval 0 --count 1000000 --quiet app.log", 0.1),
    ("kill -9 %1                               # the watcher, in the middle of it", 0.3),
    ("redis-cli -p {port} llen logs             # so far", 0),
    ("mv app.log app.log.1                     # the log is rotated while nobody watches", 0),
    ("tailcast generate --interval 0 --count 5 --quiet app.log", 0),
    ("tailcast watch --once --mode list app.log", 0),
    ("redis-cli -p {port} --raw lrange logs 0 -1 >got; cat app.log.1 app.log >written", 0),
    ("wc -l got written", 0),
    ("cmp got written && echo every line once, in order", 0.5),
    ("tailcast watch --quiet --from end new.log & tailcast subscribe & sleep 1", 0),
    ("tailcast generate --interval 300ms --count 6 --quiet new.log", 1.0),
]
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#76e3ea",
           "90": "#8b949e", "2": "#8b949e"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_until_prompt(terminal, events):
    """Reads what comes until a prompt stands at the end of it."""
    text = ""
    while not re.search(r"(^|\n)\$ $", text.replace("\r", "")):
        if not select.select([terminal], [], [], 60)[0]:
            sys.exit("record.py: no prompt within a minute after: " + text[-300:])
        chunk = os.read(terminal, 65536).decode(errors="replace")
        events.append((time.monotonic(), chunk))
        text += chunk


def play(folder, binary, port):
    """Runs the session; returns what the terminal showed: [(time, text)]."""
    os.symlink(binary, os.path.join(folder, "tailcast"))
    environment = {"PATH": folder + ":" + os.environ["PATH"], "HOME": folder, "TERM": "dumb", "PS1": "$ ",
                   "LC_ALL": "C.UTF-8"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "--norc", "--noediting", "-i"], environment)
    events = []
    read_until_prompt(terminal, events)
    for command, pause in SESSION:
        os.write(terminal, command.format(port=port).encode() + b"\n")
        read_until_prompt(terminal, events)
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                events.append((time.monotonic(), os.read(terminal, 65536).decode(errors="replace")))
    os.write(terminal, b"kill $(jobs -p); wait; exit\n")
    os.waitpid(pid, 0)
    return events


def rows(events):
    """Rows of the screen: [(seconds, text with its colour escapes)], with long pauses cut."""
    shown, last, clock = [[0.0, ""]], events[0][0], 0.0
    for when, text in events:
        clock += min(when - last, 1.0)
        last = when
        for letter in text.replace("\r", ""):
            if letter == "\n":
                shown.append([clock, ""])
            else:
                if not shown[-1][1]:
                    shown[-1][0] = clock
                shown[-1][1] += letter
    return [(when, text) for when, text in shown if text.strip() not in ("", "$")]


def spans(text):
    """SVG for a row: its escapes become colours."""
    parts, colour, bold = [], None, False
    for piece in re.split(r"(\x1b\[[0-9;]*m)", text):
        if piece.startswith("\x1b["):
            for code in piece[2:-1].split(";"):
                colour = None if code in ("", "0", "39") else COLOURS.get(code, colour)
                bold = code == "1" or bold and code not in ("", "0")
        elif piece:
            style = (f' fill="{colour}"' if colour else "") + (' font-weight="bold"' if bold else "")
            parts.append(f"<tspan{style}>{html.escape(piece)}</tspan>")
    return "".join(parts)


def wrapped(session):
    """Rows no wider than the terminal. Rows with colours are short."""
    for when, text in session:
        while len(text) > COLUMNS and "\x1b" not in text:
            yield when, text[:COLUMNS]
            text = text[COLUMNS:]
        yield when, text


def draw(session):
    lines = list(wrapped(session))
    width, height = int(COLUMNS * GLYPH) + 32, len(lines) * ROW + 28
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="ui-monospace,'
        'SFMono-Regular,Menlo,Consolas,monospace" font-size="14" fill="#e6edf3">',
        "<style>@keyframes show{from{opacity:0}to{opacity:1}}text{animation:show 1ms both;white-space:pre}</style>",
        '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
    ]
    for row, (when, text) in enumerate(lines):
        out.append(f'<text x="16" y="{row * ROW + 26}" xml:space="preserve" '
                   f'style="animation-delay:{when:.2f}s">{spans(text)}</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    if any(argument in ("-h", "--help") for argument in sys.argv[1:]):
        print(__doc__.strip())
        return
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs", "session.svg")
    binary = os.environ.get("TAILCAST_BIN", os.path.join(ROOT, "target", "release", "tailcast"))
    if not os.access(binary, os.X_OK):
        sys.exit(f"record.py: there is no {binary}: build it, or name it in TAILCAST_BIN")
    with tempfile.TemporaryDirectory(prefix="demo-") as folder, tempfile.TemporaryDirectory() as data:
        port = free_port()
        redis = subprocess.Popen(["redis-server", "--port", str(port), "--dir", data, "--save", ""],
                                 stdout=subprocess.DEVNULL)
        try:
            while subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True).stdout != b"PONG\n":
                time.sleep(0.05)
            events = play(folder, os.path.abspath(binary), port)
        finally:
            redis.terminate()
            redis.wait()
    session = rows(events)
    with open(target, "w", encoding="utf-8") as file:
        file.write(draw(session))
    print("\n".join(re.sub("\x1b[^m]*m", "", text) for _, text in session))


main()
