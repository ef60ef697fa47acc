//go:build tools

// Package prometheus pins the Prometheus release that the test cluster is built from.
//
// The blank imports keep the main packages, and all they need, in go.mod and go.sum.
package prometheus

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
