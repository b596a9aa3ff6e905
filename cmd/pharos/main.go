// Command pharos is the whole observability backend in one binary.
package main

func main() {}
