#!/usr/bin/env bash
# Builds a real Kubernetes control plane from Debian's own sources, once, into ~/.cache/qvl-doctor-kube/VERSION.
#
# Debian ships kubectl and etcd but no API server; the source package of bookworm is the whole tree of 1.20 with everything
# that it needs to build, so no network but Debian's mirror is asked. Nothing is installed: the compiler and etcd are unpacked
# beside the build and the compiler is thrown away. Takes five to eight minutes on two cores and 3 GB while it runs, 260 MB afterwards.
set -euo pipefail

version=1.20.2
here=${QVL_DOCTOR_KUBE:-${XDG_CACHE_HOME:-$HOME/.cache}/qvl-doctor-kube}/$version
wanted="etcd kube-apiserver kube-controller-manager kube-scheduler"

complete() { local name; for name in $wanted; do [ -x "$here/$name" ] || return 1; done; }
if complete; then echo "$here"; exit 0; fi

for tool in apt-get dpkg curl gcc tar; do
  command -v "$tool" >/dev/null || { echo "this builds on Debian and its like: $tool is missing" >&2; exit 2; }
done
[ "$(dpkg --print-architecture)" = amd64 ] || [ "$(dpkg --print-architecture)" = arm64 ] || { echo "Kubernetes is built for amd64 and arm64" >&2; exit 2; }

mkdir -p "$here"
exec 9>"$here/.lock"
flock 9  # two test runs on one machine build it once
if complete; then echo "$here"; exit 0; fi

work=$(mktemp -d "$here/build.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
step() { printf '%s (%d s)\n' "$*" "$SECONDS" >&2; }

step "asks Debian's mirror"
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work/lists/partial" "$work/root"
printf '%s [signed-by=%s] %s bookworm main\n' deb "$keyring" "$mirror" deb-src "$keyring" "$mirror" >"$work/sources.list"
apt=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::Lists=$work/lists"
     -o "Dir::Cache::pkgcache=$work/pkgcache.bin" -o "Dir::Cache::srcpkgcache=$work/srcpkgcache.bin" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update >&2
cd "$work"
apt-get "${apt[@]}" download golang-1.19-go golang-1.19-src etcd-server >&2
apt-get "${apt[@]}" source --download-only kubernetes >&2
for package in ./*.deb; do dpkg -x "$package" root; done
install -m 755 root/usr/bin/etcd "$here/etcd"

step "unpacks"
export GOROOT=$work/root/usr/lib/go-1.19 GOPATH=$work/go GOCACHE=$work/cache GOFLAGS=-trimpath GO111MODULE=off CGO_ENABLED=0 GOTOOLCHAIN=local
export PATH=$GOROOT/bin:$PATH
tree=$GOPATH/src/k8s.io/kubernetes
mkdir -p "$tree"
tar xzf kubernetes_*.orig.tar.gz --strip-components 1 -C "$tree"
rm -f ./*.deb ./*.tar.*
cd "$tree"

# The tarball lacks the schema that the server publishes, and that kubectl checks manifests with.
step "makes the schema"
go build -o "$work/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
inputs=$(grep --include='*.go' --exclude='zz_generated*' --exclude-dir=testdata --exclude-dir=_examples -rlE '^// \+k8s:openapi-gen=' pkg cmd staging/src/k8s.io \
  | xargs -n 1 dirname | sort -u | sed -E -e 's,^staging/src/k8s.io/,k8s.io/kubernetes/vendor/k8s.io/,' -e '/^k8s.io/!s,^,k8s.io/kubernetes/,' \
  | grep -v -e /sample- -e /code-generator/ | paste -sd,)
"$work/openapi-gen" --go-header-file hack/boilerplate/boilerplate.generatego.txt --output-base "$GOPATH/src" --output-package k8s.io/kubernetes/pkg/generated/openapi \
  --output-file-base zz_generated.openapi --report-filename "$work/report" --input-dirs "$inputs" >&2

at=k8s.io/kubernetes/vendor/k8s.io/component-base/version
flags="-s -w"
for say in gitVersion=v$version gitMajor=1 gitMinor=20 gitTreeState=clean; do flags="$flags -X $at.$say -X k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version.$say"; done
for name in kube-apiserver kube-scheduler kube-controller-manager; do
  step "builds $name"
  go build -ldflags "$flags" -o "$work/$name" "k8s.io/kubernetes/cmd/$name"
  mv "$work/$name" "$here/$name"
done
step "done"
echo "$here"
