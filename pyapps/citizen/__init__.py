"""WSGI applications that use the operating system as programs do, not only as servers.

What works in a script works in a worker: processes, signals, fault handlers; and what
the operator took away (user, groups, descriptors) is gone. Each is served as
``citizen.MODULE`` from the folder above; the module's docstring lists its variants.
They send signals and open other processes' memory: never serve them to strangers.
"""
