import sys, time
import pytest, msgspec, ctypes.util
print("HELLO", sys.version, ctypes.util.find_library("seccomp"), flush=True)
