# etcd, the API server, the controllers and the scheduler of a cluster. Sourced by inside.
# shellcheck shell=bash
# shellcheck disable=SC2154  # BIN, DATA, OUT and the rest are set by inside

# certificate NAME SUBJECT [NAMES]: a key and a certificate of the cluster's own authority.
certificate() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -subj "$2")
  if [[ $1 == ca ]]; then
    openssl req -x509 "${key[@]}" -out ca.crt -days 365 2>/dev/null
    return
  fi
  openssl req "${key[@]}" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" \
    -extfile <(echo "extendedKeyUsage=serverAuth,clientAuth" && [[ -z ${3:-} ]] || echo "subjectAltName=$3") 2>/dev/null
}

# kubeconfig NAME FILE: a file that holds all it needs, so that it can be copied anywhere.
kubeconfig() {
  local user=$1
  cat >"$2" <<CONFIG
apiVersion: v1
kind: Config
current-context: agoge
clusters: [{name: agoge, cluster: {server: "https://$API_HOST:$API_PORT", certificate-authority-data: $(base64 -w0 <"$DATA/pki/ca.crt")}}]
users: [{name: $user, user: {client-certificate-data: $(base64 -w0 <"$DATA/pki/$user.crt"), client-key-data: $(base64 -w0 <"$DATA/pki/$user.key")}}]
contexts: [{name: agoge, context: {cluster: agoge, user: $user}}]
CONFIG
}

make_credentials() {
  cd "$DATA/pki" || exit
  local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost
  certificate ca /CN=agoge-test-cluster
  certificate apiserver /CN=kube-apiserver "$names,IP:10.96.0.1,IP:127.0.0.1,IP:$NODE"
  certificate admin /O=system:masters/CN=admin
  certificate controllers /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate proxy /CN=system:kube-proxy
  certificate node /O=system:nodes/CN=system:node:node-1 "DNS:node-1,IP:$NODE"
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
  openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null
  local user
  for user in controllers scheduler proxy node; do kubeconfig $user "$DATA/$user.kubeconfig"; done
  kubeconfig admin "$OUT/kubeconfig"
}

# Gang scheduling (PodGroup) is served from 1.37 on and off by default; image volumes are on by default from 1.35 on.
gates() {
  local gates=()
  if at_least "$VERSION" 37; then gates+=(GenericWorkload=true); fi
  if ! at_least "$VERSION" 35; then gates+=(ImageVolume=true); fi
  ((${#gates[@]} == 0)) || (IFS=, && echo "--feature-gates=${gates[*]}")
}

start_api_server() {
  local more=()
  if at_least "$VERSION" 37; then more+=(--runtime-config=scheduling.k8s.io/v1beta1=true); fi
  if [[ $CONTROL_PLANE_ONLY ]]; then more+=(--endpoint-reconciler-type=none); fi
  # Without fsync a crash of the machine loses the data: it is a test's.
  keep etcd "$BIN/etcd" --data-dir "$DATA/etcd" --unsafe-no-fsync --quota-backend-bytes 4294967296 --log-level warn \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls http://127.0.0.1:0
  # shellcheck disable=SC2046  # no gates, no argument
  keep apiserver "$BIN/kube-apiserver" --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
    --bind-address "$API_BIND" --secure-port "$API_PORT" --advertise-address "$API_HOST" \
    --tls-cert-file "$DATA/pki/apiserver.crt" --tls-private-key-file "$DATA/pki/apiserver.key" --client-ca-file "$DATA/pki/ca.crt" \
    --kubelet-client-certificate "$DATA/pki/kubelet-client.crt" --kubelet-client-key "$DATA/pki/kubelet-client.key" \
    --kubelet-preferred-address-types InternalIP --service-cluster-ip-range 10.96.0.0/16 --allow-privileged \
    --service-account-key-file "$DATA/pki/accounts.pub" --service-account-signing-key-file "$DATA/pki/accounts.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction "${more[@]}" $(gates)
}

api_ready() { curl -sf -m 2 --cacert "$DATA/pki/ca.crt" "https://$API_HOST:$API_PORT/readyz"; }

start_controllers() {
  # shellcheck disable=SC2046
  keep controllers "$BIN/kube-controller-manager" --kubeconfig "$DATA/controllers.kubeconfig" --use-service-account-credentials \
    --service-account-private-key-file "$DATA/pki/accounts.key" --root-ca-file "$DATA/pki/ca.crt" \
    --leader-elect=false --secure-port 0 $(gates)
}

start_scheduler() {
  # shellcheck disable=SC2046
  keep scheduler "$BIN/kube-scheduler" --kubeconfig "$DATA/scheduler.kubeconfig" --leader-elect=false --secure-port 0 $(gates)
}
