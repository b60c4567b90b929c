# gopool.sh: the example with either lock. Sourced by run.
expect "$here/gopool.txt"
expect "$here/gopool.txt" spin
