"""How fast is it? One file a question; `python -m bench` asks them all and writes docs/performance.md.

    stream.py       what everyone reads: the simulator in a process of its own, and what a store must hold after it
    contestants.py  who reads it: bieber-tui, what people use now, and the limit
    throughput.py   posts a second over the whole path, and against the others
    stages.py       where the time of a post goes, step by step, and with how many terms in the topic
    growth.py       the cost of a post when many are stored already
    latency.py      from the socket to durable
    painted.py      from the socket to the screen
    start.py        from the start to the first post, and the cost of waiting
    curves.py       the cost of a post against the rate and the viewers
    screen.py       what the dashboard adds, and from a key to the screen
    terminal.py     a terminal with a program on it
    report.py       results as a table and as plots

A result counts only after the content of the store was compared with what was sent.
"""
