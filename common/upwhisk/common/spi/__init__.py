"""The contracts of the plug-in points, one file each. Implementations are found by name (`upwhisk.common.plugins`)."""
