import time


def main(args):
    """Sleeps longer than its limit allows: the platform stops it."""
    print("going to sleep")
    time.sleep(float(args.get("seconds", 10)))
    return {"slept": True}
