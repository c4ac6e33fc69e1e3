"""Helpers of the executable book *Low-Dimensional State Spaces*.

Import from the modules: ``from lowdim.rnn import impulse_response``.
"""
