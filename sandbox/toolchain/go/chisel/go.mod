module gitops-sandbox.invalid/toolchain/chisel

go 1.25.1

require github.com/jpillora/chisel v1.11.3
