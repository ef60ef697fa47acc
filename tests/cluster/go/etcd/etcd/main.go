// Command etcd is the store of the test cluster and of the integration tests: etcd's own server, unchanged.
//
// It has this main because etcd's repository keeps its own in a module that Go can't require.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
