# Shared by build.sh, test.sh and quickstart.sh, which source it: what a machine needs, and how it is installed.
# Everything here is checked first and done only where it is missing, so a second run costs nothing.

set -eEuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly torch_minimum=2.11
# The CPU half of LibTorch needs two small libraries of CUDA's beside it, not the 2.7 GB that torch declares.
readonly torch_wheels=(torch==2.11.0 nvidia-cuda-cupti==13.0.85 nvidia-cuda-runtime==13.0.96)
readonly libraries=(libsentencepiece-dev nlohmann-json3-dev libcli11-dev libspdlog-dev libfmt-dev libssl-dev
                    libpcre2-dev libjemalloc-dev libjpeg-dev libpng-dev libdeflate-dev libwebp-dev
                    libgloo-dev libgtest-dev libgmock-dev)

say() { printf '\n== %s\n' "$*"; }
stop() { printf '\n%s: stopped: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
trap 'printf "\n%s: stopped: line %s failed: %s\n" "$(basename "$0")" "$LINENO" "$BASH_COMMAND" >&2' ERR

# install_packages: the compiler, CMake and the libraries, from apt.
install_packages() {
  local missing=() tool package
  for tool in g++ cmake ninja:ninja-build pkg-config python3; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  if ! command -v dpkg-query >/dev/null; then
    echo "No Debian or Ubuntu here: please see to it that these are installed: ${missing[*]} ${libraries[*]}" >&2
    return
  fi
  for package in "${libraries[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  if ((${#missing[@]})); then
    say "Installing with apt: ${missing[*]}"
    as_root "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${missing[*]}"
  fi
}

# install_browser: Chromium, for the tests that open a page (about 350 MB); without it they are skipped.
install_browser() {
  if command -v chromium >/dev/null || ! command -v apt-cache >/dev/null; then return; fi
  # Ubuntu's package of that name is a snap, which does not run in a container.
  if [[ $(apt-cache policy chromium) == *snap* ]]; then return; fi
  say "Installing with apt: chromium (some tests open the report page in it)"
  (as_root "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-dejavu-core") ||
    say "Chromium could not be installed; its tests are skipped"
}

# as_root COMMAND_LINE: runs it as root, showing its errors alone, or says what to type.
as_root() {
  if ((EUID == 0)); then
    sh -c "$1" >/dev/null
  elif command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
    sudo sh -c "$1" >/dev/null
  else
    stop "this needs root, and there is no sudo to ask. As root, type
  $1
and run this script again."
  fi
}

# install_torch CMAKE_ARGUMENTS...: a pinned LibTorch in .venv, unless -DEXCITOR_TORCH_DIR is or was given or a Python has one.
install_torch() {
  [[ "$*" == *EXCITOR_TORCH_DIR=* ]] && return
  grep -qs '^EXCITOR_TORCH_DIR:.*=.' build/release/CMakeCache.txt && return
  python3 scripts/find_torch.py "$torch_minimum" >/dev/null || install_wheels torch "${torch_wheels[@]}"
}

# install_wheels NAME PIP_ARGUMENTS...: into .venv, once for each content of the arguments and the files they name.
install_wheels() {
  local name=$1 stamp file
  shift
  stamp=.venv/installed-$name-$({ printf '%s\n' "$@"; for file in "$@"; do [[ ! -f $file ]] || cat "$file"; done; } |
    sha256sum | cut -c1-16)
  [[ -e $stamp ]] && return
  say "Installing into .venv: $*"
  [[ -x .venv/bin/python ]] || python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "$@"
  rm -f .venv/installed-"$name"-*
  touch "$stamp"
}

# build TARGET CMAKE_ARGUMENTS...: configures and builds build/release.
build() {
  local target=$1
  shift
  say "Building $target (in build/release)"
  cmake --preset release "$@" >/dev/null
  cmake --build --preset release --parallel "$(nproc)" --target "$target"
}

# reference_python ARGUMENTS...: .venv's Python with torch, transformers, PEFT and what else tests and benchmarks compare with.
reference_python() {
  install_wheels torch "${torch_wheels[@]}"
  install_wheels tests -r tests/requirements.txt
  .venv/bin/python scripts/stub_cuda_libraries.py .venv/cuda-stubs
  LD_LIBRARY_PATH="$PWD/.venv/cuda-stubs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" .venv/bin/python "$@"
}
