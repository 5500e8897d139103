// Package k8s has the name of the original's package, and no client of Kubernetes.
package k8s

import (
	"errors"
	"log"
)

// Provider refuses.
type Provider struct{}

// Addrs fails: this build has no client of Kubernetes.
func (p *Provider) Addrs(map[string]string, *log.Logger) ([]string, error) {
	return nil, errors.New("discover-k8s: not in this build")
}

// Help is empty.
func (p *Provider) Help() string { return "" }
