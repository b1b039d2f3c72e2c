# Source this before building or testing what links libtorch: it says where hack/setup put it. Programs that were built find it
# by themselves.
AGOGE_CACHE="${AGOGE_CACHE:-$HOME/.cache/agoge}"
export AGOGE_CACHE
export LIBTORCH="$AGOGE_CACHE/libtorch" LIBTORCH_INCLUDE="$AGOGE_CACHE/libtorch" LIBTORCH_LIB="$AGOGE_CACHE/libtorch"
export LIBTORCH_CXX11_ABI=1 LIBTORCH_BYPASS_VERSION_CHECK=0
export LD_LIBRARY_PATH="$AGOGE_CACHE/libtorch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# hack/bin has a cargo that builds a pinned crate although it asks for a newer rustc than it needs.
agoge_bin="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/bin"
case ":$PATH:" in
  *":$agoge_bin:"*) ;;
  *) export PATH="$agoge_bin:$PATH" ;;
esac
