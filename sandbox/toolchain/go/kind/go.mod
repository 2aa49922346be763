module gitops-sandbox.invalid/toolchain/kind

go 1.17

require sigs.k8s.io/kind v0.33.0
