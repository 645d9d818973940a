#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""answers.py ANSWER,ANSWER... COMMAND...: runs COMMAND on a terminal of its own and types one answer after the other, each when a
question stands there (a line that ends in ': '). Prints what appeared; exits with COMMAND's status. Gives up after 30 seconds."""
import os, pty, re, select, sys, time

answers, command = sys.argv[1].split(","), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown, fresh, end = b"", b"", time.time() + 30
while time.time() < end:
    if not select.select([fd], [], [], 0.5)[0]:
        continue
    try:
        data = os.read(fd, 4096)
    except OSError:
        data = b""
    if not data:
        break
    shown += data
    fresh += data
    if re.search(rb"[^\r\n]: $", fresh) and answers:
        fresh = b""
        time.sleep(0.05)
        os.write(fd, answers.pop(0).encode() + b"\n")
else:
    os.kill(pid, 15)
_, status = os.waitpid(pid, 0)
sys.stdout.write(shown.decode(errors="replace") + "\n")
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
