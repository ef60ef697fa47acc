// Command render prints the manifest of Envoy Gateway's own chart, which is in its Go module.
//
// The chart is the vendor's, so the manifest is what users install; with helm's engine as a library it takes neither
// helm itself nor a chart registry.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: render CHART RELEASE NAMESPACE IMAGE")
	}
	if err := render(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

func render(folder, name, namespace, image string) error {
	files, err := read(folder)
	if err != nil {
		return err
	}
	// The module has the values as a template of the release's build: the image and its pull policy are left open.
	values := strings.NewReplacer("${GatewayImage}", image, "${GatewayImagePullPolicy}", "IfNotPresent")
	for at, file := range files {
		if file.Name == "values.tmpl.yaml" {
			files[at] = &loader.BufferedFile{Name: "values.yaml", Data: []byte(values.Replace(string(file.Data)))}
		}
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return err
	}
	// The CRDs are applied by themselves: they are too large for what follows, and the Gateway API has its own.
	loaded.SetDependencies()
	loaded.Metadata.Dependencies = nil
	// The webhook of zone-aware routing would have a say in every pod that is bound; one node has one zone.
	own := map[string]any{"topologyInjector": map[string]any{"enabled": false}}
	options := chartutil.ReleaseOptions{Name: name, Namespace: namespace, IsInstall: true}
	all, err := chartutil.ToRenderValues(loaded, own, options, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(loaded, all)
	if err != nil {
		return err
	}
	return write(loaded, rendered)
}

func read(folder string) ([]*loader.BufferedFile, error) {
	var files []*loader.BufferedFile
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || strings.HasPrefix(name, "charts") || name == "Chart.lock" {
			return err
		}
		data, err := os.ReadFile(path)
		files = append(files, &loader.BufferedFile{Name: filepath.ToSlash(name), Data: data})
		return err
	})
	return files, err
}

func write(loaded *chart.Chart, rendered map[string]string) error {
	names := make([]string, 0, len(rendered))
	for name, text := range rendered {
		if strings.TrimSpace(text) != "" && !strings.HasSuffix(name, "NOTES.txt") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	fmt.Printf("# %s %s\n", loaded.Name(), loaded.AppVersion())
	for _, name := range names {
		fmt.Printf("---\n# Source: %s\n%s\n", name, rendered[name])
	}
	return nil
}
