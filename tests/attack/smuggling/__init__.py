"""The table of malformed and ambiguous requests, with the answer that each must get.

A row is what an agent sends on one connection; `row.py` has its parts, the other files the rows.
"""
