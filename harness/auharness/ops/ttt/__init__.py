"""What the test-time-training operators share: arguments, memory layout of a scan, the inner loss and its derivatives.

Nothing here is an operator; those are `auharness.ops.ttt_linear` and `auharness.ops.ttt_mlp`.
"""
