"""Pictures of a finished run: where its networks look, what they confuse, and how they learned.

`report` writes them; `grad_cam` maps any network without a run.
"""
