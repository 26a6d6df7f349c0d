"""Features of the frozen SevenNet potential for `network.hybrid`."""
