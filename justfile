# Recipes; ./just runs them. Scripts that need more than a line are in tools/.

set positional-arguments
set ignore-comments

# Plain `just` would put things elsewhere than `./just` does.
environment := if env("BOTTEGA_TOOLS", "") == "" { error("run ./just, which sets what recipes need") } else { "" }

# Queries are checked against crates/store/.sqlx, so that nobody needs a database to compile.
export SQLX_OFFLINE := "true"

_list:
    @{{ just_executable() }} --justfile {{ justfile() }} --list --unsorted

# Build and run a platform in the foreground; ARGS go to `bottega up`
[no-exit-message]
up *ARGS: build
    @exec ./bottega up "$@"

# Build the release binary, as ./bottega
build: (_install "rust postgres onnxruntime uv")
    @cargo build --release --locked -p bottega >&2
    @ln -sfn "$CARGO_TARGET_DIR/release/bottega" bottega

# Every test; ARGS go to the runner, as in `./just test revoked`
test *ARGS: (_install "rust postgres onnxruntime uv weed python mlflow3 flavours mlflow2 mypy oidc_provider typescript")
    tools/dev-postgres run tools/test "$@"

# Postgres is away for SECONDS under load, twice: it stands still, then it is killed
outage SECONDS="60": (_install "rust postgres onnxruntime")
    BOTTEGA_OUTAGE_SECONDS="{{ SECONDS }}" tools/dev-postgres run tools/test --test under_load outage

# The property tests of what reads requests, each for SECONDS
fuzz SECONDS="60": (_install "rust")
    tools/fuzz "{{ SECONDS }}"

# What CI demands of the source: formatted, no warning, generated files as they would be made anew
lint: (_install "rust lints postgres")
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    tools/prepare --check

# Format the source
fmt: (_install "rust lints")
    cargo fmt --all

# Benchmarks, as ratios against a reference in the same run
bench *ARGS: (_install "rust postgres onnxruntime uv mlflow3 mlflow_auth")
    cargo run --release --locked -p bottega-benches -- "$@"

# Renew the checked query data after a change to SQL or migrations
prepare: (_install "rust postgres")
    tools/prepare

# Make the test models anew
models: (_install "python")
    # The hash seed decides an order in the exporter's output.
    PYTHONHASHSEED=0 "$BOTTEGA_PYTHON" -B tests/models/make.py

# Install everything that recipes need, and do nothing else
setup: (_install "rust lints postgres onnxruntime uv weed python mlflow3 flavours mlflow2 mypy oidc_provider typescript")

[no-exit-message]
_install TOOLS:
    @tools/install {{ TOOLS }}
