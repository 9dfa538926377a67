"""Sequence-mixer operators: one package per operator, each with a plain reference and fast paths beside it.

Import an operator from its package, `from auharness.ops.ttt_linear import ttt_linear`: nothing is re-exported here,
because a function of the same name would hide the package.
"""
