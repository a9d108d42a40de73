"""Executors: where jobs run that need nothing of each other. Knows no members and no models.

An :class:`~soundfit.executors.executor.Executor` runs jobs on other processes or machines; they talk to their
caller now and then, and are begun again where a worker dies.
"""
