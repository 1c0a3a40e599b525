"""One module per kind of input, each with `claims(path)` and `read(path, ...) -> list[Slide]`."""
