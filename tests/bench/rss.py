# SPDX-License-Identifier: BSD-2-Clause
# rss.py COMMAND...: runs it, prints the largest resident size in kB that it had, and its time with -t.
import resource, subprocess, sys, time

args = sys.argv[1:]
timed = args[0] == "-t"
begin = time.monotonic()
subprocess.run(args[timed:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
end = time.monotonic()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, *(["%.3f" % (end - begin)] if timed else []))
