//go:build tools

// Package gateway pins Envoy Gateway's controller, and the Gateway API's definitions that it is made for.
package gateway

import (
	_ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
	_ "sigs.k8s.io/gateway-api/apis/v1"
)
