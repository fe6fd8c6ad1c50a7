"""What lesson 08 measured about bits, zeros, heads and layers, and about all of them together."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("08")
