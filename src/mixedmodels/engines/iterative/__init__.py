"""The `iterative` engine: crossed factors whose tail is too large to factor."""
