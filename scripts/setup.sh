# Sourced by the scripts beside it: goes to the repository's root, installs what is missing, finds CUDA, builds.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit

script=$(readlink -f -- "$0")
start=$PWD  # where the user is, for paths given as arguments
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

# Debian's and Ubuntu's names of what a build needs.
libraries=(libeigen3-dev libfmt-dev libcli11-dev nlohmann-json3-dev libboost-context-dev libbenchmark-dev libtomlplusplus-dev
  libpugixml-dev)
test_libraries=(catch2)
build_packages=(g++ cmake ninja-build "${libraries[@]}")
test_packages=("${build_packages[@]}" "${test_libraries[@]}" python3)

source_folders=(harness kernels reference reports)

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# usage [WRONG ARGUMENT]: prints the script's own opening comment; exit 2 after a wrong argument.
usage() {
  (($# == 0)) || { printf '%s: unknown argument: %s\n\n' "${0##*/}" "$1" >&2; exec >&2; }
  awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$script"
  exit $(($# == 0 ? 0 : 2))
}

has_command() { command -v "$1" >/dev/null 2>&1; }

has_header() {
  local prefix prefixes=${CMAKE_PREFIX_PATH:-}
  for prefix in /usr /usr/local ${prefixes//:/ }; do
    [[ -e $prefix/include/$1 ]] && return
  done
  return 1
}

# Judged by what a package is needed for, so that an installation by other means counts.
has_package() {
  case $1 in
    g++) has_command "${CXX:-c++}" ;;
    ninja-build) has_command ninja ;;
    libeigen3-dev) has_header eigen3/Eigen/Core ;;
    libfmt-dev) has_header fmt/format.h ;;
    libcli11-dev) has_header CLI/CLI.hpp ;;
    nlohmann-json3-dev) has_header nlohmann/json.hpp ;;
    catch2) has_header catch2/catch.hpp || has_header catch2/catch_all.hpp ;;
    libomp-19-dev) [[ -e /usr/lib/llvm-19/lib/clang/19/include/omp.h ]] ;;
    libboost-context-dev) has_header boost/context/detail/fcontext.hpp ;;
    libtomlplusplus-dev) has_header toml++/toml.h ;;
    libpugixml-dev) has_header pugixml.hpp ;;
    libbenchmark-dev) has_header benchmark/benchmark.h ;;
    *) has_command "$1" ;;
  esac
}

# Whether the packages above have these names here, in versions that are new enough.
knows_system() {
  has_command apt-get && [[ -r /etc/os-release ]] || return 1
  local ID='' VERSION_ID=''
  # shellcheck disable=SC1091
  . /etc/os-release
  case $ID in
    debian) [[ -z $VERSION_ID ]] || ((${VERSION_ID%%.*} >= 12)) ;;  # testing and unstable have no number
    ubuntu) ((${VERSION_ID%%.*} >= 24)) ;;
    *) return 1 ;;
  esac
}

# Where apt can't be used: CMake fetches libraries itself, given git; for want of anything else this ends.
do_without() {  # WHY PACKAGE...
  local why=$1 package tools=()
  shift
  for package; do
    [[ " ${libraries[*]} ${test_libraries[*]} " == *" $package "* ]] || tools+=("$package")
  done
  ((${#tools[@]})) || has_command git || tools+=(git)
  ((${#tools[@]} == 0)) || fail "missing: $*
$why"
  say "missing, so CMake fetches their pinned sources: $*"
}

# Installs those of the packages that are missing.
install_missing() {
  local package missing=()
  for package; do
    has_package "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  if ! knows_system; then
    do_without "These are their names on Debian; only Debian >= 12 and Ubuntu >= 24.04 are set up from here.
Please install them, with CMake 3.25 and g++ 12 or newer." "${missing[@]}"
    return
  fi

  local install=(apt-get install -y --no-install-recommends "${missing[@]}") as_root=()
  if ((EUID != 0)); then
    # Without a terminal nobody can type a password.
    if has_command sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      do_without "They can't be installed from here: you aren't root and sudo can't be used. As root, please run:
  apt-get update && ${install[*]}" "${missing[@]}"
      return
    fi
  fi

  say "installing through apt: ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  local log
  log=$(mktemp)
  "${apt[@]}" update || say "apt-get update failed; going on with the package lists that are there"
  "${apt[@]}" "${install[@]:1}" >"$log" 2>&1 || {
    cat "$log" >&2
    fail "apt-get could not install: ${missing[*]}"
  }
  rm -f "$log"
}

# A browser for the tests of the HTML report, where Debian has one (380 MB): Ubuntu's is a snap.
install_browser() {
  python3 reports/html_browser.py >/dev/null ||
    (grep -qs '^ID=debian' /etc/os-release && install_missing chromium) ||
    say "no browser: the HTML report is not tested in one"
}

gpu_visible() {
  [[ -e /dev/nvidia0 ]] || { has_command nvidia-smi && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; }
}

# Where AssayCuda.cmake looks, too.
find_nvcc() {
  local nvcc
  for nvcc in "${CUDACXX:-}" "${CUDA_HOME:-}/bin/nvcc" "${CUDA_PATH:-}/bin/nvcc" nvcc /usr/local/cuda/bin/nvcc; do
    [[ -z $nvcc ]] || ! command -v "$nvcc" || return 0
  done
  return 1
}

# choose_cuda [wanted]: sets `cuda` to ON or OFF and says why. Compiling takes minutes, so it is done where a GPU is
# visible or where it was asked for.
choose_cuda() {
  local nvcc why
  nvcc=$(find_nvcc) || nvcc=
  cuda=OFF
  if [[ -z $nvcc ]]; then
    why="left out: no nvcc on the PATH, in \$CUDA_HOME or in /usr/local/cuda"
    ! gpu_visible || why+=" (a GPU is visible: install the CUDA toolkit to use it)"
  elif gpu_visible; then
    cuda=ON
    why="compiled with $nvcc: a GPU is visible"
  elif [[ -n ${1:-} ]]; then
    cuda=ON
    why="compiled with $nvcc, but no GPU is visible: what needs one is skipped"
  else
    why="left out: no GPU is visible"
  fi
  say "cuda backend: $why"
}

# build PRESET TARGET [option of cmake...]
build() {
  local preset=$1 target=$2 version
  version=$(cmake --version | awk 'NR == 1 { print $3 }')
  printf '3.25\n%s\n' "$version" | sort -VC || fail "CMake 3.25 or newer is needed, this is $version"
  cmake --preset "$preset" "${@:3}"
  cmake --build --preset "$preset" --target "$target"
}
