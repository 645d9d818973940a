#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""on_terminal.py PIN COMMAND...: runs COMMAND on a terminal of its own and types PIN at every question for one: it names a
PIN or password and ends in a colon.
Prints what appeared on the terminal, then 'prompts: N'; exits with COMMAND's status. Gives up after 30 seconds."""
import os, pty, re, select, sys, time

PROMPT = re.compile(rb"(pin|pass ?phrase|password)[^\r\n]*: ?$", re.I)

pin, command = sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown, fresh, prompts, end = b"", b"", 0, time.time() + 30
while time.time() < end:
    ready, _, _ = select.select([fd], [], [], 0.5)
    if not ready:
        continue
    try:
        data = os.read(fd, 4096)
    except OSError:
        data = b""
    if not data:
        break
    shown += data
    fresh += data
    if PROMPT.search(fresh):
        prompts += 1
        fresh = b""
        time.sleep(0.05)
        os.write(fd, pin.encode() + b"\n")
else:
    os.kill(pid, 15)
_, status = os.waitpid(pid, 0)
sys.stdout.write(shown.decode(errors="replace") + "\nprompts: %d\n" % prompts)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
