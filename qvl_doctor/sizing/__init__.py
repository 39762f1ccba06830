"""The memory model put to work on a command or a log.

What was asked for, will it fit, and which change makes it fit.
"""
