//go:build tools

// Package kind pins the kind release that creates the test cluster.
//
// The blank import keeps the main package, and all it needs, in go.mod and go.sum.
package kind

import _ "sigs.k8s.io/kind"
