"""A shop whose truth is known: members, what they do and why, written as any shop's landing files (NumPy into Arrow).

Every number is a function of the seed, whom it is about, what it is for and when (``chance``), so a member's story is
the same simulated alone, in 4 or in 400 partitions, and the first 90 days of 120 are the 90. What members share (the
catalogue, campaigns, price rises, stock-outs, who invited whom) is drawn from seed and id alone, never from another
member's days.
"""
