"""Code that leaves a process behind, out of reach of its parent."""

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for n in range(3, 20):
            try:
                os.close(n)
            except OSError:
                pass
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
result = [n for n in os.listdir("/proc") if n.isdigit()]
"""
