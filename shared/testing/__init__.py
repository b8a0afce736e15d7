"""Tests that any algorithm can be put to, those of other packages included.

`contract` holds what training and users may expect of every algorithm, `micro` small problems with
known answers.  All are functions that raise an AssertionError; no test runner is needed:

    from shared.testing import contract, micro

    algorithm = MyMethod(...)  # small networks, each phase a few updates, large steps
    contract.check(algorithm, micro.material())
    micro.check_ends(micro.learned(algorithm, updates=500))  # discount=micro.DISCOUNT
"""
