"""Executors: where jobs run that need nothing of each other. Knows no members and no models.

Without one, jobs run on threads of this process. With an
:class:`~soundfit.executors.executor.Executor` they run on other processes or machines, talk to their caller
now and then, and are begun again where a worker dies.
"""
