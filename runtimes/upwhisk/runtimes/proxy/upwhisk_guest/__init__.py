"""What the proxies inside a guest are made of. Standard library only, Python 3.10 and later.

Importing these modules has no effects: a zygote imports them once and forks guests from the result. They import one
another relatively, so that they work both from here and as the top-level package `upwhisk_guest` that the proxy
files make of this folder.
"""
