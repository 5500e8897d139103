"""Run by the guest's interpreter, not by the platform: the standard library only, Python 3.10 and later.

`zygote` is the package's name there (its folder's parent is put on the path), hence the relative imports.
"""
