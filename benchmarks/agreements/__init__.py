"""Our code against independent implementations of the same thing: one list, which a test and a table of docs share."""
