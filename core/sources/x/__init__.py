"""X's filtered stream, API version 2.

source.py supervises: it alone decides when to connect, wait or give up. stream.py makes one connection with
tweepy's client, transport.py gives it sockets that another thread can cut, framing.py cuts the bytes into lines.
answers.py says in words what an answer or a failure means, backoff.py how long to wait after it. rules.py keeps
our rule at X, auth.py the token, decode.py turns a line into a Post.
"""
