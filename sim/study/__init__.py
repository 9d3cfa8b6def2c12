"""Many runs: the questions, their inverses, ensembles of seeds and what changes an answer most."""
