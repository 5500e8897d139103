def main(args):
    """Switches a light on for whoever comes in."""
    who = args.get("who", "somebody")
    print(f"light on for {who}")
    return {"light": "on", "who": who}
