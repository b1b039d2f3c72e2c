# The one node of a cluster: its network, containerd, kubelet, kube-proxy and DNS. Sourced by inside.
# shellcheck shell=bash
# shellcheck disable=SC2154  # BIN, DATA and the rest are set by inside

# What programs write outside DATA by habit lands in DATA, and so leaves with it.
hide_machine() {
  mount -t tmpfs tmpfs /run
  mkdir -p /run/containerd
  local path
  for path in /var/log /var/lib/cni /var/lib/kubelet; do
    mkdir -p "$path" "$DATA/mounts$path"
    mount --bind "$DATA/mounts$path" "$path"
  done
}

# A pair of connected interfaces carries the node's address and the default route that the API
# server and the kubelet look for; no packet leaves.
make_network() {
  ip link set lo up
  ip link add node0 type veth peer name node1
  ip addr add "$NODE/24" dev node0
  ip link set node0 up
  ip link set node1 up
  ip route add default via 192.0.2.1 dev node0
  echo 1 >/proc/sys/net/ipv4/ip_forward
  mkdir -p "$DATA/cni"
  # ptp routes between pods, so that a Service's translation is undone on the way back without br_netfilter.
  cat >"$DATA/cni/10-agoge.conflist" <<CNI
{"cniVersion": "0.4.0", "name": "agoge", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "$DATA/ipam",
   "ranges": [[{"subnet": "10.244.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CNI
}

start_containerd() {
  cat >"$DATA/containerd.toml" <<TOML
version = 2
root = "$DATA/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:dev"
  # A machine without CAP_SYS_RESOURCE may not lower a process' OOM score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$DATA/cni"
TOML
  keep containerd containerd --config "$DATA/containerd.toml" --log-level warn
  wait_for 120 "containerd's socket" ctr version
  local image
  for image in pause coredns; do ctr -n k8s.io images import "$TOOLS/$image.tar" >/dev/null; done
}

start_kubelet() {
  : >"$DATA/resolv.conf"
  cat >"$DATA/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DATA/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $DATA/pki/node.crt
tlsPrivateKeyFile: $DATA/pki/node.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: $DATA/resolv.conf
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
enforceNodeAllocatable: []
oomScoreAdj: 0
failSwapOn: false
maxPods: 250
# The disk is the machine's: what else fills it is no reason to evict a pod or to drop an image.
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
YAML
  if at_least "$VERSION" 35; then echo "failCgroupV1: false" >>"$DATA/kubelet.yaml"; fi
  if ! at_least "$VERSION" 35; then echo "featureGates: {ImageVolume: true}" >>"$DATA/kubelet.yaml"; fi
  keep kubelet "$BIN/kubelet" --config "$DATA/kubelet.yaml" --kubeconfig "$DATA/node.kubeconfig" --hostname-override node-1 --node-ip "$NODE"
}

start_proxy() {
  keep proxy "$BIN/kube-proxy" --kubeconfig "$DATA/proxy.kubeconfig" --hostname-override node-1 \
    --proxy-mode iptables --cluster-cidr 10.244.0.0/16 --conntrack-max-per-core 0
}

node_ready() { [[ $(kubectl get node node-1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]; }
dns_ready() { [[ $(kubectl -n kube-system get deployment coredns -o 'jsonpath={.status.availableReplicas}') == 1 ]]; }
