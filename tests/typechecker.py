"""The checker that jaxtyping calls on every annotated function while the tests run."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""As PEP 484 has it, an int is welcome where a float is asked for."""
