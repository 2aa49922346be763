module gitops-sandbox.invalid/toolchain/crictl

go 1.26.2

require sigs.k8s.io/cri-tools v1.36.0
