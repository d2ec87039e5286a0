"""The one transaction in which anything about people is decided (design, section 5).

Lock the ruleset, lock the people, read the clock, load, decide with pure code,
write what differs. Everything that decides goes through `transaction`.
"""
