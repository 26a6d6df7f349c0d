#!/usr/bin/env bash
# All that a GPU has to show, without network: benchmarks/gpu_check.sh WHEELS [SECTION …]
#
# WHEELS is a folder of wheels of what the machine's python3 lacks. An environment with PyTorch mostly
# has triton, numba, scipy, matplotlib, h5py, e3nn, lightning, torchmetrics, safetensors, typer and
# rich; the others (50 MB, 42 of them SevenNet) come, on a machine with a network and for the version
# of Python of the machine with the GPU, by
#   benchmarks/gpu_check.sh --download build/wheels 3.12 [NAME …]    # and NAME, which it lacks too
# Results: runs/gpu_check/*.json, or in the folder of --folder; started again, it does what is missing or
# failed. A section has 300 s (--limit). Where a command may run for ten minutes only, name some at a time.
set -e
cd "$(dirname "$0")/.."

NEEDED="ase phonopy symfc phonors spglib vesin sevenn braceexpand"

if [ "$1" = "--download" ]; then
    folder=$2 python=$3
    shift 3
    python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version "$python" \
        --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --dest "$folder" $NEEDED "$@"
    du -ch "$folder"/*.whl | sort -h
    exit
fi

WHEELS=${1:?a folder of wheels}
shift
# Beside the packages of python3, not in an environment: python3 may itself be that of an environment,
# whose packages another one does not see.
SITE="$PWD/build/gpu-site"
export PYTHONPATH="$PWD:$SITE:$PWD/tests"
for wheel in "$WHEELS"/*.whl; do # one by one: what cannot be installed is named, the rest is
    name=$(basename "$wheel" | cut -d- -f1)
    python3 -c "import importlib.metadata as m; m.version('$name')" 2> /dev/null ||
        python3 -m pip install --quiet --no-index --no-deps --no-compile --target "$SITE" "$wheel" ||
        echo "not installed: $wheel"
done
python3 benchmarks/gpu_check.py "$@"
