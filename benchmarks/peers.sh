#!/bin/sh
# Creates the environment of the Python peers, apart from the project's own: sh benchmarks/peers.sh [folder]
# lme4 comes from the distribution, with OpenBLAS:  apt-get install r-cran-lme4 r-cran-jsonlite libopenblas0-pthread
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${PEERS_VENV:-$here/.peers}}
python=${PYTHON:-python3}

"$python" -m venv "$folder"
"$folder/bin/pip" install --quiet --upgrade glmm mixedlm lme-python statsmodels gpboost pandas pyarrow polars formulaic
"$folder/bin/pip" list 2>/dev/null | grep -i -E '^(glmm|mixedlm|lme.python|statsmodels|gpboost|numpy|scipy|pandas|polars) '

if command -v Rscript >/dev/null; then
    Rscript -e 'cat("lme4", as.character(packageVersion("lme4")), "with BLAS", sessionInfo()$BLAS, "\n")'
else
    echo "Rscript is not installed: lme4 will be reported as not installed" >&2
fi
[ "$folder" = "$here/.peers" ] || echo "set PEERS_VENV=$folder when running benchmarks/run.py"
