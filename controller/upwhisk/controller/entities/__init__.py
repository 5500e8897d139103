"""Writing entities: what a PUT says, checked and applied. Parsing is pure; the classes read and write the catalog."""
