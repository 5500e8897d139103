def main(args):
    """Raises: the error becomes the result, the traceback goes to the logs."""
    prices = {"tea": 2, "coffee": 3}
    item = args.get("item", "juice")
    if item not in prices:
        raise ValueError(f"{item} is not on the menu")
    return {"price": prices[item]}
