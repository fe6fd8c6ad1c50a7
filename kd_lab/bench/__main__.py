"""Every benchmark that can run here, one after another, each in its own process: `python -m kd_lab.bench`."""

import subprocess
import sys

BENCHMARKS = {
    "losses": "softmax_kl on the CPU against eager torch and torch.compile: seconds and peak memory",
    "gpu": "the fused kernels against eager torch, torch.compile and Liger, where there is a GPU",
    "models": "training and generation against a plain GPT and its uncached loop",
    "imports": "seconds of an import and MiB of an installation, without torch",
    "parallel": "two processes against one: gradients and steps per second",
    "methods": "a training step on-policy against off-policy",
    "explorer": "milliseconds from a slider's value to its picture",
    "shared": "lessons beside busy loops, and eight kernels at once",
}


def main() -> None:
    failed = []
    for name, subject in BENCHMARKS.items():
        print(f"\n== kd_lab.bench.{name}: {subject}", flush=True)
        if subprocess.run([sys.executable, "-m", f"kd_lab.bench.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
