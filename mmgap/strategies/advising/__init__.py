"""Which merge to use: methods are measured, one is chosen, and the choice is put into words.

``entries`` measures, ``choice`` holds the rule, ``held_out`` judges on test queries, ``changes``
says what would change the advice, ``words`` says why; :func:`mmgap.strategies.advise` calls them.
"""
