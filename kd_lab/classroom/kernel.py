"""Start the kernel of a notebook, and start it again where another program has taken one of its ports."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat import NotebookNode

STARTING = 600  # seconds: beside forty others a kernel takes minutes to answer
STARTS = 3
DIED = "died before replying"  # jupyter_client's words


@contextmanager
def kernel_of(
    notebook: NotebookNode, folder: Path, environment: Mapping[str, str], **options: Any
) -> Iterator[NotebookClient]:
    """A notebook in a fresh kernel of its own, which ends with the block.

    The kernel is told which ports are free before its process starts. Beside other kernels one of them may be taken
    when it gets there; it then dies before its first answer, and is started again with other ports.

    Args:
        notebook: its cells are run through the client.
        folder: where the kernel works.
        environment: all its variables.
        options: of nbclient.

    Raises:
        RuntimeError: the kernel died at every start, or did not answer in time.
    """
    client = NotebookClient(
        notebook,
        startup_timeout=STARTING,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
        **options,
    )
    with ExitStack() as stack:
        for left in reversed(range(STARTS)):
            try:
                stack.enter_context(client.setup_kernel(env=environment))
                break
            except RuntimeError as error:
                if not left or DIED not in str(error):
                    raise
        yield client
