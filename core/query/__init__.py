"""The query language: what to capture (keywords, sent to X as a rule) and what to keep (topic, matched here).

    parse_topic('music OR #music')     -> Query, or QueryError with position and hint
    parse_keywords('"justin bieber"')  -> the same, held to X's rules for rules as well
    query.match(post)                  -> the terms that matched, as written; None when the post does not match

grammar.py reads the language, tree.py is what it reads into, text.py defines the words of a post with NLTK's
TweetTokenizer, match.py decides. Knows Post and nothing else of the program.
"""
