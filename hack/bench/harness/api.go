package main

// The API server that both operators share: etcd and kube-apiserver alone, with the CRDs and an audit log of the
// operators' writes.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [%s]
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

type api struct {
	env     *envtest.Environment
	folder  string
	typed   *kubernetes.Clientset
	objects dynamic.Interface
}

// startAPI starts it; the binaries etcd and kube-apiserver lie in the folder binaries.
func startAPI(binaries, crds, folder string, users ...string) (*api, error) {
	policy := filepath.Join(folder, "audit-policy.yaml")
	if err := os.WriteFile(policy, fmt.Appendf(nil, auditPolicy, strings.Join(users, ", ")), 0o600); err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: binaries, ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
		CRDInstallOptions: envtest.CRDInstallOptions{Paths: []string{crds}, ErrorIfPathMissing: true},
	}
	env.ControlPlane.GetAPIServer().Configure().
		Set("audit-policy-file", policy).
		Set("audit-log-path", filepath.Join(folder, "audit.log")).
		Set("delete-collection-workers", "16")
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS = -1
	protobuf := rest.CopyConfig(config)
	protobuf.ContentType = "application/vnd.kubernetes.protobuf"
	a := &api{env: env, folder: folder}
	if a.typed, err = kubernetes.NewForConfig(protobuf); err == nil {
		a.objects, err = dynamic.NewForConfig(config)
	}
	return a, err
}

// kubeconfig writes one for this user, who may do everything.
func (a *api) kubeconfig(user string) (string, error) {
	added, err := a.env.AddUser(envtest.User{Name: user, Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return "", err
	}
	text, err := added.KubeConfig()
	if err != nil {
		return "", err
	}
	path := filepath.Join(a.folder, user+".kubeconfig")
	return path, os.WriteFile(path, text, 0o600)
}

// write is one write request that was served.
type write struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// kind is verb and resource, such as "patch synthesisjobs/status".
func (w write) kind() string {
	resource := w.ObjectRef.Resource
	if w.ObjectRef.Subresource != "" {
		resource += "/" + w.ObjectRef.Subresource
	}
	if w.ResponseStatus.Code >= 300 {
		return fmt.Sprintf("%s %s (%d)", w.Verb, resource, w.ResponseStatus.Code)
	}
	return w.Verb + " " + resource
}

// audited is how long the audit log is by now.
func (a *api) audited() int64 {
	info, err := os.Stat(filepath.Join(a.folder, "audit.log"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// writes are the user's writes in this namespace since then; an empty namespace takes every one.
func (a *api) writes(since int64, user, namespace string) ([]write, error) {
	file, err := os.Open(filepath.Join(a.folder, "audit.log"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(since, io.SeekStart); err != nil {
		return nil, err
	}
	var found []write
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var w write
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if w.User.Username == user && (namespace == "" || w.ObjectRef.Namespace == namespace) {
			found = append(found, w)
		}
	}
	return found, lines.Err()
}

// clear deletes everything of a namespace, while the operator runs: it may have finalizers to take away.
func (a *api) clear(ctx context.Context, namespace string) error {
	background, none := metav1.DeletePropagationBackground, int64(0)
	options := metav1.DeleteOptions{PropagationPolicy: &background, GracePeriodSeconds: &none}
	all := metav1.ListOptions{}
	jobs := a.objects.Resource(synthesisJobs).Namespace(namespace)
	if err := jobs.DeleteCollection(ctx, options, all); err != nil {
		return err
	}
	err := eventually(ctx, "the objects are gone", func() (bool, error) {
		left, err := jobs.List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil && len(left.Items) == 0, err
	})
	if err != nil {
		return err
	}
	return first(
		a.typed.BatchV1().Jobs(namespace).DeleteCollection(ctx, options, all),
		a.typed.CoreV1().Pods(namespace).DeleteCollection(ctx, options, all),
		a.typed.CoreV1().ConfigMaps(namespace).DeleteCollection(ctx, options, all),
		a.typed.EventsV1().Events(namespace).DeleteCollection(ctx, options, all),
	)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
