"""An import is timed where nothing is loaded yet, and an installation is weighed without torch."""

from kd_lab.bench.imports import import_seconds, installed_sizes, needed, package_size


def test_an_import_takes_time_in_a_process_of_its_own():
    assert 0.2 <= import_seconds("json; time.sleep(0.2)") < 60
    assert import_seconds("sys; assert 'torch' not in sys.modules") > 0


def test_the_core_needs_no_notebook_and_no_trainer():
    """Extras stay out, also those of what the core needs."""
    assert {"torch", "numpy", "safetensors", "jaxtyping", "tqdm"} <= set(needed("kd_lab"))
    sizes = installed_sizes()
    assert not {"jupyterlab", "matplotlib", "openai", "transformers", "torch"} & sizes.keys()
    assert all(size > 0 for size in sizes.values())


def test_the_package_is_a_few_mib():
    whole, packed = package_size()
    assert packed < whole < 20 * 2**20
