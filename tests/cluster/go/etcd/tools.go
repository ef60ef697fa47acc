//go:build tools

// Package etcd pins the etcd release that kubeadm expects.
//
// The blank import keeps etcdctl's main package, and all it needs, in go.mod and go.sum.
package etcd

import _ "go.etcd.io/etcd/etcdctl/v3"
