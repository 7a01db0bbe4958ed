# SPDX-License-Identifier: BSD-2-Clause
"""Differences between servers that are allowed, each with what decides.

A rule looks at one question and two answers (ours, the peer's; sections are sets that it may
change), takes away the difference that it describes and says whether there was any.  What remains
different after all rules is a failure; a rule that finds nothing any more is one too."""


class Case:
    """One question and the two answers to it, as far as they still differ."""

    __slots__ = ("zone", "qname", "qtype", "do", "edns", "ours", "theirs")


class Side:
    __slots__ = ("word", "rcode", "answer", "authority", "additional", "opt")

    def __init__(self, response):
        self.word = response.word
        self.rcode = response.rcode
        self.answer = set(response.answer)
        self.authority = set(response.authority)
        self.additional = set(response.additional)
        self.opt = opt_facts(response)

    def facts(self):
        return (self.word, self.answer, self.authority, self.additional, self.opt)


def opt_facts(response):
    """Of the OPT record: extended rcode, version, flags."""
    return response.opt[1:4] if response.opt else None


class Rule:
    def __init__(self, name, peer, deviates, decides, description, apply):
        self.name, self.peer, self.deviates = name, peer, deviates
        self.decides, self.description, self.apply = decides, description, apply


RULES = []
