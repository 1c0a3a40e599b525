"""What the widgets run in a thread: generators of progress in, values out; and how fast it goes."""
