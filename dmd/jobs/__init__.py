"""Work on stores besides serving them: checks, statistics, copies.

Each job is a pure plan and a runner; ``dmd.jobs.commands`` gives them to the command line.
"""
